-- Each error type by its real cause: what fails reaches a policy function with all that is known of it. The policy of
-- this spec gives a reason that tells what it was given; the journal keeps the reason beside its own account.
local h = require "spec.helper"
local real = require "spec.recover.real"

-- What the policy tells, in this order; then message and traceback by length and checksum, then the details.
local FIELDS = { "type", "task", "attempt", "worker", "exit_status", "signal", "file", "offset", "record", "key",
                 "memory_peak", "fingerprint", "simulated", "elapsed_seconds" }

local SUM = [[
   local function sum(text)
      local n = 0
      for i = 1, #(text or "") do n = (n * 31 + text:byte(i)) % 1000003 end
      return #(text or "") .. "/" .. n
   end
]]
local sum = load(SUM .. "return sum")()

local POLICY = SUM .. [[
   local function tell(err)
      local list, details = {}, {}
      for _, name in ipairs { "]] .. table.concat(FIELDS, '", "') .. [[" } do
         local value = err[name]
         list[#list + 1] = type(value) == "number" and ("%.14g"):format(value) or tostring(value)
      end
      for name, value in pairs(err.details) do details[#details + 1] = name .. "=" .. tostring(value) end
      table.sort(details)
      list[#list + 1] = sum(err.message)
      list[#list + 1] = sum(err.traceback)
      list[#list + 1] = table.concat(details, " ")
      return table.concat(list, "|")
   end
   return { on_error = { ["*"] = function(err) return { action = "fail", reason = tell(err) } end } }
]]

local _, lines_before = POLICY:match("^(.*)return { on_error"):gsub("\n", "")
local RULE = "my.lua:" .. lines_before + 1

-- What the policy must have told of a failure that the journal has as `row`.
local function account_of(row, more)
   local list, details = {}, {}
   row.type, row.simulated = row.outcome, row.simulated == 1
   for i, name in ipairs(FIELDS) do
      local value = row[name]
      list[i] = math.type(value) and ("%.14g"):format(value) or tostring(value)
   end
   for name, value in ((row.details or "") .. (more or "")):gmatch("([^\t\n]+)\t([^\n]*)\n") do
      details[#details + 1] = name .. "=" .. value
   end
   table.sort(details)
   list[#list + 1] = sum(row.message)
   list[#list + 1] = sum(row.traceback)
   list[#list + 1] = table.concat(details, " ")
   return table.concat(list, "|")
end

-- The failure that the job ended with: what is known of it, checked against what the policy was given.
local function failure(p, result, error_type, more)
   assert.equal(1, result.code, result.err)
   local rows = real.attempts(p, "where verdict is not null")
   assert.equal(1, #rows)
   local row = rows[1]
   assert.equal(error_type, row.outcome, row.message)
   assert.equal("fail", row.verdict)
   assert.equal(RULE, row.rule)
   local elapsed = tonumber((row.reason:match("|([%d.e-]+)|%d+/%d+|%d+/%d+|[^|]*$")))
   assert.is_true(elapsed and elapsed >= 0 and elapsed < (result.seconds or 60) + 1, row.reason)
   row.elapsed_seconds = elapsed
   -- Of a record, the policy is asked while the attempt lives, which goes on a little after that.
   local peak = tonumber((row.reason:match("|(%d+)|[^|]*|%a+|[^|]*|%d+/%d+|%d+/%d+|[^|]*$")))
   if peak then
      assert.is_true(peak > 0 and peak <= row.memory_peak)
      row.memory_peak = peak
   end
   assert.equal(account_of(row, more), row.reason)
   assert.is_true(row.worker > 1)
   assert.is_false(h.exists(p.dir .. "/out/_SUCCESS"))
   return row
end

local INPUT = "a\nb\nc\n"

-- A job whose map does `body` at line b.
local function at_b(body, options)
   options = options or {}
   local p = real.place(options.input or INPUT)
   for name, value in pairs(options.env or {}) do p.env[name] = value end
   h.write(p.dir, "my.lua", POLICY)
   real.job(p, options.body or "if line == 'b' then\n" .. body .. "\nend", options.more)
   local result = real.run(p, options.args)
   return failure(p, result, options.type, options.details), p, result
end

-- The record b, as all failures in the middle of it tell it.
local function is_at_b(row)
   assert.same({ "map_0", 0, "in.txt", 2, 1 }, { row.task, row.attempt, row.file, row.offset, row.record })
   assert.is_nil(row.key)
   assert.matches("^%x+$", row.fingerprint)
end

describe("task_crash: a worker that dies", function()
   -- A sanitizer would catch the signal, and end the process in its own way.
   local asan = { ASAN_OPTIONS = (os.getenv("ASAN_OPTIONS") or "") .. ":handle_segv=0:handle_abort=0:handle_sigbus=0" }

   for name, number in pairs { KILL = 9, ABRT = 6, BUS = 7 } do
      it("by SIG" .. name, function()
         local row = at_b("os.execute('kill -" .. name .. " $PPID') while true do end",
            { type = "task_crash", env = asan })
         is_at_b(row)
         assert.same({ number }, { row.signal, row.exit_status })
         assert.matches("the worker was killed by signal " .. number, row.message)
      end)
   end

   it("by os.exit", function()
      local row = at_b("os.exit(7)", { type = "task_crash" })
      is_at_b(row)
      assert.same({ nil, 7 }, { row.signal, row.exit_status })
      row = at_b("os.exit(true)", { type = "task_crash" })
      assert.same({ nil, 0 }, { row.signal, row.exit_status })
   end)

   it("by a stack that overflows in C", function()
      local row = at_b([[
         local json = require "cjson"
         json.decode_max_depth(1 << 30)
         json.decode(("["):rep(300000))]], { type = "task_crash", env = asan })
      is_at_b(row)
      assert.equal(11, row.signal)
   end)

   it("in a reduce, at a key", function()
      local row = at_b("", { type = "task_crash",
         more = "reduce = function(key, values, emit) if key == 'c' then os.exit(3) end emit(key, 1) end" })
      assert.same({ "reduce_0", 3, "c", 2 }, { row.task, row.exit_status, row.key, row.record })
      assert.is_nil(row.file)
   end)

   it("before it reads anything, has no fingerprint", function()
      local row = at_b("", { type = "task_crash", more = "init = function() os.exit(5) end" })
      assert.equal(5, row.exit_status)
      assert.is_nil(row.fingerprint)
      assert.is_nil(row.record)
   end)
end)

describe("timeout: an attempt that does not end", function()
   local function hang(body, set)
      return at_b(body, { type = "timeout", args = { "--set", set or "limits.progress_timeout_seconds=0.3" } })
   end

   local function is_timeout(row, limit)
      is_at_b(row)
      assert.matches("limit\t" .. limit .. "\n", row.details)
      assert.matches("(limits." .. limit .. ")", row.message, 1, true)
   end

   it("an endless loop: the place in it is told", function()
      local row = hang("while true do end")
      is_timeout(row, "progress_timeout_seconds")
      assert.matches("job.lua:11: in", row.traceback, 1, true)
      assert.is_nil(row.signal)
   end)

   it("a loop that swallows errors", function()
      is_timeout(hang("while true do pcall(function() while true do end end) end"), "progress_timeout_seconds")
   end)

   it("a coroutine's loop that swallows errors", function()
      is_timeout(hang([[
         local work = coroutine.wrap(function() while true do pcall(error, "no") end end)
         while true do pcall(work) end]]), "progress_timeout_seconds")
   end)

   it("a pattern that no hook stops: its worker is killed", function()
      local row = hang("string.find(('a'):rep(3000), ('.-'):rep(30) .. 'b')")
      is_timeout(row, "progress_timeout_seconds")
      assert.equal(9, row.signal)
   end)

   it("past the task's own deadline, though it reports progress", function()
      is_timeout(hang("while true do mr.progress() end", "limits.task_timeout_seconds=0.3"), "task_timeout_seconds")
   end)

   it("in a reduce, at a key", function()
      local row = at_b("", { type = "timeout", args = { "--set", "limits.progress_timeout_seconds=0.3" },
         more = "reduce = function(key, values, emit) if key == 'b' then while true do end end emit(key, 1) end" })
      assert.same({ "reduce_0", "b", 1 }, { row.task, row.key, row.record })
   end)

   it("a worker that gives no sign of life", function()
      local row = hang("os.execute('kill -STOP $PPID')", "limits.heartbeat_timeout_seconds=1")
      is_timeout(row, "heartbeat_timeout_seconds")
      assert.equal(9, row.signal)
   end)
end)

describe("memory_error: more than the cap", function()
   local bodies = {
      ["by string.rep"] = "string.rep('x', 1 << 30)",
      ["by a table that grows"] = "local t = {} for i = 1, 1 << 30 do t[i] = i end",
      ["by many strings"] = "local t = {} for i = 1, 1 << 30 do t[i] = ('x'):rep(1000) .. i end",
      ["though the job catches it"] =
         "local t = {} for _ = 1, 50 do pcall(function() t[#t + 1] = ('x'):rep(1 << 20) end) end",
   }
   for name, body in pairs(bodies) do
      it(name, function()
         local row = at_b(body, { type = "memory_error", args = { "--set", "limits.memory_limit=16M" } })
         is_at_b(row)
         assert.is_true(row.memory_peak > 0 and row.memory_peak <= 16 << 20, row.memory_peak)
      end)
   end
end)

describe("memory_error elsewhere", function()
   it("in a reduce, at a key", function()
      local row = at_b("", { type = "memory_error", args = { "--set", "limits.memory_limit=16M" },
         more = "reduce = function(key, values, emit) if key == 'b' then key = key:rep(1 << 30) end emit(key, 1) end" })
      assert.same({ "reduce_0", "b", 1 }, { row.task, row.key, row.record })
   end)

   local test = h.sanitized and pending or it -- a sanitizer needs more than any such limit
   test("what the system does not give (ulimit -v)", function()
      local p = real.place(INPUT)
      h.write(p.dir, "my.lua", POLICY)
      real.job(p, "if line == 'b' then emit(('x'):rep(1 << 30), 1) end")
      local row = failure(p, h.sh([[ulimit -v 500000 && exec "$LMR" run job.lua in.txt --profile my.lua -o out \
         --set limits.memory_limit=false]], { dir = p.dir, env = p.env }), "memory_error")
      is_at_b(row)
   end)
end)

describe("script_error, bad_record and declared types", function()
   it("an error that the code raises", function()
      local row = at_b("local t = nil; local function f() return t.x end f()", { type = "script_error" })
      is_at_b(row)
      assert.matches("job.lua:11: attempt to index a nil value (upvalue 't')", row.message, 1, true)
      assert.matches("job.lua:11: in local 'f'", row.traceback, 1, true)
   end)

   it("in a reduce, at a key", function()
      local row = at_b("", { type = "script_error",
         more = "reduce = function(key, values, emit) if key == 'b' then error('no') end emit(key, 1) end" })
      assert.same({ "reduce_0", "b", 1 }, { row.task, row.key, row.record })
   end)

   it("mr.reject", function()
      local row = at_b("mr.reject('no ' .. line)", { type = "bad_record" })
      is_at_b(row)
      assert.equal("no b", row.message)
   end)

   it("a record that does not decode", function()
      local row = at_b(nil, { type = "bad_record", body = "line = line.a", input = '{"a":1}\n{"a":2\n{"a":3}\n',
         more = "input = 'jsonl', reduce = mr.sum" })
      assert.same({ "in.txt", 8, 1 }, { row.file, row.offset, row.record })
      assert.matches("not valid JSON", row.message, 1, true)
      assert.matches("^%x+$", row.fingerprint)
   end)

   it("mr.fail of a declared type, with details", function()
      local row = at_b([[
         mr.fail('rate_limited', 'slow down', { retry_after = 30, status = 429, host = 'a b', ok = true })]],
         { type = "rate_limited", more = "error_types = { 'rate_limited' }, reduce = mr.sum",
           details = "retry_after\t30\n" })
      is_at_b(row)
      assert.equal("slow down", row.message)
      assert.equal("host\ta b\nok\ttrue\nstatus\t429\n", row.details)
   end)
end)

describe("data_corruption: what a checksum does not hold of", function()
   -- Two maps one after the other: the first has committed its run, the second waits until `harm` is done to it.
   local function harmed(harm)
      local p = real.place()
      h.write(p.dir, "my.lua", POLICY)
      real.job(p, "if line == 'gate' then wait('go') end")
      h.write(p.dir, "a.txt", INPUT:rep(150))
      h.write(p.dir, "b.txt", "gate\n" .. INPUT:rep(150))
      local job = real.background(p, { "a.txt", "b.txt", "--workers", "1", "--split-size", "1K" })
      h.poll(20, h.exists, p.dir .. "/go.waits")
      local run = real.sql(p, "select path from file where kind = 'run'")
      assert.equal(1, #run)
      harm(run[1].path)
      h.write(p.dir, "go", "")
      local row = failure(p, job:wait(30), "data_corruption")
      assert.same({ "reduce_0", run[1].path }, { row.task, row.file })
      assert.is_nil(row.record)
   end

   local function flip(place)
      return function(path)
         local bytes = h.read(path)
         local at = place(#bytes)
         h.write(path:match("^(.*)/"), path:match("[^/]*$"),
            bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 1) .. bytes:sub(at + 1))
      end
   end

   local places = {
      first = function() return 1 end, middle = function(n) return n // 2 end, last = function(n) return n end,
   }
   for name, place in pairs(places) do
      it("a committed run whose " .. name .. " byte was flipped", function() harmed(flip(place)) end)
   end

   it("a committed run that was cut", function()
      harmed(function(path) assert(os.execute("truncate -s -9 " .. h.quote(path))) end)
   end)

   it("a committed run that is empty", function()
      harmed(function(path) assert(os.execute("truncate -s 0 " .. h.quote(path))) end)
   end)

   it("a committed run that is gone", function() harmed(os.remove) end)

   local function packed(harm)
      local p = real.place()
      h.write(p.dir, "my.lua", POLICY)
      real.job(p, "")
      h.sh("seq 1 20000 | gzip -n >in.gz && " .. harm, { dir = p.dir })
      local row = failure(p, real.run(p, { "in.gz" }), "data_corruption")
      assert.same({ "map_0", "in.gz" }, { row.task, row.file })
   end

   it("an input file in gzip that was cut", function() packed("truncate -s -100 in.gz") end)
   it("an input file in gzip that lost its end", function() packed("truncate -s -4 in.gz") end)
   it("an input file in gzip of which a byte differs", function()
      packed("printf X | dd of=in.gz bs=1 seek=20000 conv=notrunc 2>/dev/null")
   end)
end)

describe("disk_full: no room to write", function()
   -- 2.8 MB of lines that differ.
   local function big()
      local p = real.place()
      h.write(p.dir, "my.lua", POLICY)
      real.job(p, "")
      assert.equal(0, h.sh("seq -f 'a line of some text and a number %.0f' 1 50000 >in.txt", { dir = p.dir }).code)
      return p
   end

   local function filled(options)
      if not h.own_mounts() then return pending("nothing can be mounted here") end
      local p = big()
      local script = ([[
         mkdir small && exec %s sh -c 'mount -t tmpfs -o size=1m tmpfs small &&
            exec "$LMR" run job.lua in.txt --profile my.lua %s'
      ]]):format(h.own_mounts(), options)
      local row = failure(p, h.sh(script, { dir = p.dir, env = p.env }), "disk_full")
      assert.matches("No space left on device", row.message, 1, true)
      assert.matches("errno\t28\n", row.details, 1, true)
      return row
   end

   it("under the work directory", function()
      local row = filled("--work-dir small -o out")
      assert.equal("map_0", row.task)
      assert.matches("small/", row.file, 1, true)
   end)

   it("under the output", function()
      local row = filled("--work-dir . -o small/out")
      assert.equal("reduce_0", row.task)
      assert.matches("small/out/", row.file, 1, true)
   end)

   it("a limit on the size of files", function()
      local p = big()
      local row = failure(p, h.sh([[ulimit -f 2000 && exec "$LMR" run job.lua in.txt --profile my.lua -o out]],
         { dir = p.dir, env = p.env }), "disk_full")
      assert.equal("map_0", row.task)
      assert.matches("File too large", row.message, 1, true)
      assert.matches("errno\t27\n", row.details, 1, true)
   end)
end)
