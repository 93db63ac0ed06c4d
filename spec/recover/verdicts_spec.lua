-- Every verdict takes effect: what real failures come to under policies that answer with each of them. What the output
-- must be, awk, sort and plain Lua say.
local h = require "spec.helper"
local real = require "spec.recover.real"

local INPUT = "a\nb\nc\nd\n"

-- What is expected of the lines given, each once.
local function once(letters)
   return (letters:gsub("%a", "%0\t1\n"))
end

-- A policy function for one type, as a profile.
local function policy(p, error_type, body)
   real.profile(p, ("   on_error = { %s = function(err, ctx) %s end },"):format(error_type, body))
end

local function place(body, more, input)
   local p = real.place(input or INPUT)
   real.job(p, body, more)
   return p
end

local FAILS_ONCE = "if line == 'b' and first('b') then error('no') end"

describe("retry", function()
   it("waits as long as the verdict says", function()
      local p = place(FAILS_ONCE)
      policy(p, "script_error", "return { action = 'retry', delay_seconds = 0.5, reason = 'because' }")
      local result = real.run(p)
      assert.equal(0, result.code, result.err)
      assert.same({ "map_0.0 script_error retry", "map_0.1 committed", "reduce_0.0 committed" }, real.story(p))
      local rows = real.attempts(p)
      assert.same({ 0.5, "because", "my.lua:2" }, { rows[1].delay, rows[1].reason, rows[1].rule })
      local waited = (rows[2].started - rows[1].ended) / 1e9
      assert.is_true(waited > 0.49 and waited < 5, waited)
      assert.equal(once "abcd", real.part(p))
      real.check_books(p)
   end)

   it("gives more memory, to that task alone, for all its further attempts", function()
      local body = [[
         if line == "b" then
            local t = {}
            for i = 1, 40 do t[i] = ("x"):rep(1 << 20) end
            if first("enough") then os.exit(1) end
         end]]
      local p = place(body)
      local args = { "--set", "limits.memory_limit=16M" }
      policy(p, "memory_error", "return { action = 'retry', delay_seconds = 0, memory_limit = ctx.retry * 32 << 20 }")
      local result = real.run(p, args)
      assert.equal(0, result.code, result.err)
      local rows = real.attempts(p, "where task = 'map_0'")
      assert.same({ "map_0.0 memory_error retry", "map_0.1 memory_error retry", "map_0.2 task_crash retry",
         "map_0.3 committed" }, real.story(p, "where task = 'map_0'"))
      assert.is_true(rows[1].memory_peak <= 16 << 20)
      assert.is_true(rows[2].memory_peak > 16 << 20 and rows[2].memory_peak <= 32 << 20)
      assert.equal(once "abcd", real.part(p))
   end)

   it("gives more time", function()
      local p = place("if line == 'b' then mr.sleep(1.2) end")
      policy(p, "timeout", "return { action = 'retry', delay_seconds = 0, timeout_seconds = 20 }")
      local result = real.run(p, { "--set", "limits.progress_timeout_seconds=0.4" })
      assert.equal(0, result.code, result.err)
      assert.same({ "map_0.0 timeout retry", "map_0.1 committed", "reduce_0.0 committed" }, real.story(p))
   end)

   it("gives a worker that has run nothing yet, if asked", function()
      for _, fresh in ipairs { true, false } do
         local p = place(FAILS_ONCE)
         policy(p, "script_error", ("return { action = 'retry', fresh_worker = %s }"):format(fresh))
         assert.equal(0, real.run(p, { "--workers", "1" }).code)
         local rows = real.attempts(p)
         assert.equal(fresh, rows[1].worker ~= rows[2].worker)
         assert.equal(rows[2].worker, rows[3].worker)
      end
   end)
end)

describe("quarantine", function()
   local function aside(p, result)
      assert.equal(3, result.code, result.err)
      local text = h.sh("cat state/*/quarantine/*", { dir = p.dir }).out
      local list = {}
      for unit, record in text:gmatch('"unit":"(%a+)".-"record":(%d+)') do list[#list + 1] = unit .. " " .. record end
      assert.equal(#list, real.manifest(p).quarantined)
      assert.is_true(h.exists(p.dir .. "/out/_SUCCESS"))
      real.check_books(p)
      return list
   end

   local ways = {
      ["by name"] = '"quarantine"', ["by a function"] = "function(err) return 'quarantine' end",
      ["by a table's decide"] = "{ decide = function() return { action = 'quarantine' } end }",
      ["when retries are used up"] = "{ max_retries = 0, on_exhausted = 'quarantine' }",
   }
   for name, rule in pairs(ways) do
      it("puts a record aside, " .. name .. ", and the same attempt goes on if it can", function()
         local p = place("if line == 'b' then error('no') end if line == 'd' then mr.reject('no') end")
         real.profile(p, ("on_error = { script_error = %s, bad_record = %s },"):format(rule, rule))
         assert.same({ "record 1", "record 3" }, aside(p, real.run(p)))
         assert.equal(once "ac", real.part(p))
         assert.same(name:find("used up") and real.story(p) or { "map_0.0 committed", "reduce_0.0 committed" },
            real.story(p))
      end)
   end

   local causes = {
      task_crash = "os.exit(1)", timeout = "while true do end", memory_error = "('x'):rep(1 << 30)",
   }
   for error_type, cause in pairs(causes) do
      it("puts aside the record of a " .. error_type .. ", once another run has confirmed it", function()
         local p = place(([[
            if line == "b" then %s end
            if line == "d" and first("d") then os.exit(1) end -- by chance, and not again
         ]]):format(cause))
         local rule = " = 'quarantine', "
         real.profile(p, "on_error = { task_crash" .. rule .. "timeout" .. rule .. "memory_error" .. rule .. "},")
         local result = real.run(p, { "--set", "limits.progress_timeout_seconds=0.4", "--set",
            "limits.memory_limit=16M" })
         assert.same({ "record 1" }, aside(p, result))
         assert.same({ ("map_0.0 %s retry"):format(error_type), ("map_0.1 %s quarantine"):format(error_type),
            "map_0.2 task_crash retry", "map_0.3 committed", "reduce_0.0 committed" }, real.story(p))
         assert.equal(once "acd", real.part(p))
      end)
   end

   it("of one record leaves all its retries to the next; the limit holds for what one task puts aside, too", function()
      local function run(limit)
         local p = place("if line:find('b') then os.exit(1) end", nil, "a1\nb1\na2\nb2\na3\nb3\na4\nb4\na5\na6\n")
         real.profile(p, "retry = { max_retries = 2, strategy = 'exponential_backoff', jitter = false },")
         return p, real.run(p, { "--set", "limits.max_quarantined=" .. limit })
      end
      local p, result = run(4)
      assert.equal(4, #aside(p, result))
      for _, row in ipairs(real.attempts(p, "where verdict = 'retry'")) do assert.equal(0.02, row.delay) end
      p, result = run(2)
      assert.equal(1, result.code)
      local rows = real.attempts(p)
      assert.equal(6, #rows)
      assert.equal("fail", rows[6].verdict)
      assert.matches("limits.max_quarantined", rows[6].reason, 1, true)
   end)

   it("puts a group aside in reduce, in the attempt or after a crash", function()
      for cause, expected in pairs {
         ["error('no')"] = { "reduce_0.0 committed" },
         ["os.exit(1)"] = { "reduce_0.0 task_crash retry", "reduce_0.1 task_crash quarantine", "reduce_0.2 committed" },
      } do
         local p = place("", ("reduce = function(k, values, emit) if k == 'b' then %s end emit(k, (values())) end")
            :format(cause))
         real.profile(p, "on_error = { task_crash = 'quarantine', script_error = 'quarantine' },")
         assert.same({ "group 1" }, aside(p, real.run(p)))
         assert.same(expected, real.story(p, "where task = 'reduce_0'"))
         assert.equal(once "acd", real.part(p))
      end
   end)
end)

describe("the statistics of a job", function()
   it("agree between driver, journal and sqlite3: steps, samples and side files, all kinds of failure", function()
      local p = real.place(("a\nb\nc\nd\ne\nf\n"):rep(600))
      h.write(p.dir, "job.lua", [[
         local mr = require "mr"
         local function first(name)
            local path = os.getenv("GATE") .. "/" .. name .. mr.task().id:gsub(":", "-")
            if io.open(path) then return false end
            return io.open(path, "w"):close()
         end
         local function fail(record, more)
            if record % 500 == 7 then error("no") end
            if more and record == 11 and first("crash") then os.exit(1) end
            if record == 12 and first("limited") then mr.fail("limited", "wait") end
            if record == 13 then mr.reject("no") end
         end
         return mr.job { job_name = "job", error_types = { "limited" },
            side_files = { users = { path = "side.csv", input = "csv", key = "id" } },
            steps = {
               { map = function(_, line, emit) fail(mr.task().record, true) emit(line .. mr.task().record % 7, 1) end,
                 reduce = mr.sum, reducers = 2, total_order = true },
               { map = function(k, v, emit) fail(mr.task().record) emit(k, v) end,
                 reduce = function(k, values, emit)
                    if k == "b3" then os.exit(2) end
                    emit(k, (values()))
                 end, reducers = 3 },
            } }]])
      h.write(p.dir, "side.csv", "id,name\n1,x\n")
      real.profile(p, "retry = { max_retries = 4, strategy = 'fixed_delay', jitter = false },")
      local result = real.run(p, { "--split-size", "1K", "--workers", "2" })
      assert.equal(3, result.code, result.err)
      local s = real.check_books(p)
      assert.is_true(s.by_type.task_crash.failures >= 3 and s.by_type.limited.failures >= 1)
      assert.is_true(s.quarantined_records > 3 and s.quarantined_groups == 1)
      assert.is_true(s.attempts < real.count(p, "select count(*) from attempt")) -- samples and side files
   end)
end)
