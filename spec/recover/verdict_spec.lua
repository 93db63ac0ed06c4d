-- What is done about a failure: the built-in verdicts, chains of rules in every form, answers of a policy, and the
-- bounds over all of them.
local h = require "spec.helper"
local n = require "spec.data.notation"

local GB = 1 << 30
local MB = 1 << 20

-- --- the host: sessions of commands, each answered by a line ---

-- A Lua table as an encoded map, its keys in order; a sequence as an array.
local function encode(value)
   if type(value) ~= "table" or getmetatable(value) then return value end -- n.null, n.map
   local out = {}
   if #value > 0 then
      for i, item in ipairs(value) do out[i] = encode(item) end
      return out
   end
   local keys = {}
   for key in pairs(value) do keys[#keys + 1] = key end
   table.sort(keys)
   for i, key in ipairs(keys) do out[i] = { key, encode(value[key]) } end
   return n.map(out)
end

local function words_of(fields)
   local words, keys = {}, {}
   for key in pairs(fields) do keys[#keys + 1] = key end
   table.sort(keys)
   for i, key in ipairs(keys) do words[i] = key .. "=" .. tostring(fields[key]) end
   return table.concat(words, " ")
end

local function begin(type, fields)
   return "begin " .. type .. " " .. words_of(fields or {})
end

local function rules(profile)
   return "rules " .. n.show(encode(profile))
end

local function answer(value)
   return "answer " .. n.show(encode(value))
end

local function session(...)
   return n.probe("verdict_probe", { ... })
end

-- A verdict's line taken apart.
local function read(line)
   local action, delay, memory, timeout, fresh, rule, reason =
      line:match("^([%a_]+) (%S+) (%d+) (%S+) ([01])\t([^\t]*)\t(.*)$")
   if not action then return { line = line } end
   return { action = action, delay = tonumber(delay), memory = tonumber(memory), timeout = tonumber(timeout),
      fresh = fresh == "1", rule = rule, reason = reason }
end

local function last(...)
   local lines = session(...)
   return read(lines[#lines]), lines
end

-- Verdicts for the same profile, one for each list of fields.
local function verdicts(profile, type, list)
   local commands = { rules(profile) }
   for i, fields in ipairs(list) do commands[i + 1] = begin(type, fields) end
   local lines = session(table.unpack(commands))
   assert.matches("^ok", lines[1])
   local out = {}
   for i = 1, #list do out[i] = read(lines[i + 1]) end
   return out
end

local function actions(profile, type, list)
   local names = {}
   for i, v in ipairs(verdicts(profile, type, list)) do names[i] = v.action end
   return names
end

-- A profile without drawn delays.
local function plain(more)
   local profile = { retry = { max_retries = 3, strategy = "exponential_backoff", base_delay_seconds = 1,
      max_delay_seconds = 60, backoff_multiplier = 2, jitter = "none" } }
   for key, value in pairs(more or {}) do profile[key] = value end
   return profile
end

local function one_rule(type, rule)
   rule.source = rule.source or "my.lua:12"
   return plain { rules = { [type] = { rule } } }
end

local known = { culprit = 1, quarantine = 1 }

local function with(base, more)
   local out = {}
   for key, value in pairs(base) do out[key] = value end
   for key, value in pairs(more) do out[key] = value end
   return out
end

-- --- the built-in verdicts ---

describe("the built-in verdict", function()
   for _, type in ipairs { "task_crash", "network_failure", "timeout" } do
      it("for " .. type .. " is to try again, later each time, as often as retry says", function()
         local list = verdicts(plain(), type, { { retry = 1 }, { retry = 2 }, { retry = 3 }, { retry = 4 } })
         for retry, delay in ipairs { 1, 2, 4 } do
            local v = list[retry]
            assert.same({ "retry", delay, "built-in: " .. type }, { v.action, v.delay, v.rule })
            assert.equal(("retry %d of 3"):format(retry), v.reason)
         end
         assert.same({ "fail", "its 3 retries are used up (retry.max_retries)" }, { list[4].action, list[4].reason })
      end)

      it("for " .. type .. " at the same record twice is to put it aside, or to fail", function()
         local list = verdicts(plain(), type, {
            with(known, { retry = 2, same = 2 }),
            { retry = 2, same = 2, culprit = 1 },
            with(known, { retry = 2, same = 2, key = "k" }),
            { retry = 2, same = 2 },
            with(known, { retry = 2, same = 1 }),
         })
         assert.same({ "quarantine", "fail", "quarantine", "retry", "retry" }, { list[1].action, list[2].action,
            list[3].action, list[4].action, list[5].action })
         assert.equal("the same record failed in the same way 2 times; the record is put aside", list[1].reason)
         assert.equal("the same record failed in the same way 2 times; limits.max_quarantined lets no more records " ..
            "be put aside", list[2].reason)
         assert.equal("the same group failed in the same way 2 times; the group is put aside", list[3].reason)
      end)
   end

   it("for an answer of a server that stays the same is to fail", function()
      for status, action in pairs { [400] = "fail", [401] = "fail", [403] = "fail", [404] = "fail", [410] = "fail",
         [499] = "fail", [408] = "retry", [425] = "retry", [429] = "retry", [500] = "retry", [503] = "retry" } do
         local v = verdicts(plain(), "network_failure", { { ["d.status"] = status } })[1]
         assert.equal(action, v.action, status)
         if action == "fail" then
            assert.equal(("the server answered %d: trying again cannot help"):format(status), v.reason)
         end
      end
      assert.same({ "retry" }, actions(plain(), "task_crash", { { ["d.status"] = 404 } }))
   end)

   it("waits at least as long as a server asks, but no longer than a week", function()
      local list = verdicts(plain(), "network_failure", { { retry_after = 0.5 }, { retry_after = 30 },
         { retry_after = 300 }, { retry_after = 1e12 }, { retry_after = "nan" }, { retry_after = -5 } })
      local delays = {}
      for i, v in ipairs(list) do delays[i] = v.delay end
      assert.same({ 1, 30, 300, 604800, 1, 1 }, delays)
   end)

   it("for the first timeout is twice the time, and no more later", function()
      local list = verdicts(plain(), "timeout", {
         { progress = 600 }, { task = 60 },
         { progress = 600, task = 3600, elapsed = 700 }, { progress = 600, task = 3600, elapsed = 3600.5 },
         { progress = 600, task = 60, ["d.limit"] = "progress_timeout_seconds" },
         { progress = 600, task = 60, ["d.limit"] = "task_timeout_seconds" },
         { progress = 600, task = 60, ["d.limit"] = "heartbeat_timeout_seconds" },
         { progress = 600, longer = 1200, retry = 2 }, {},
      })
      local timeouts = {}
      for i, v in ipairs(list) do timeouts[i] = v.timeout end
      assert.same({ 1200, 120, 1200, 7200, 1200, 120, 0, 0, 0 }, timeouts)
      assert.equal("retry 1 of 3, with a time limit of 20 m 00 s", list[1].reason)
   end)

   it("for a memory_error is more memory at once, up to the most there may be", function()
      local list = verdicts(plain(), "memory_error", {
         with(known, { memory = 512 * MB }), with(known, { memory = GB, retry = 2, same = 2 }),
         with(known, { memory = 3 * GB, retry = 3, same = 3 }), with(known, { memory = 4 * GB, retry = 9, same = 4 }),
         { memory = 4 * GB, retry = 4 }, { memory = 4 * GB, culprit = 1 },
      })
      for i, limit in ipairs { GB, 2 * GB, 4 * GB } do
         assert.same({ "retry", 0, limit }, { list[i].action, list[i].delay, list[i].memory })
      end
      assert.equal("again at once, with a memory limit of 1 GB", list[1].reason)
      assert.same({ "quarantine", "fail", "fail" }, { list[4].action, list[5].action, list[6].action })
      assert.equal("4 GB of memory are not enough, and it may have no more; no record is known that could be put " ..
         "aside", list[5].reason)
      local own = plain { memory = { multiplier = 1.5, max_memory = 600 * MB } }
      list = verdicts(own, "memory_error", { { memory = 256 * MB }, { memory = 512 * MB }, { memory = 600 * MB },
         { memory = GB } })
      assert.same({ 384 * MB, 600 * MB, 0, 0 }, { list[1].memory, list[2].memory, list[3].memory, list[4].memory })
      assert.same({ "retry", "retry", "fail", "fail" }, { list[1].action, list[2].action, list[3].action,
         list[4].action })
   end)

   it("for a memory_error that no limit of ours made is to wait", function()
      local list = verdicts(plain(), "memory_error", { {}, { retry = 2 }, { retry = 4 },
         with(known, { retry = 2, same = 2 }) })
      assert.same({ "retry", 1, 0 }, { list[1].action, list[1].delay, list[1].memory })
      assert.same({ "retry", 2 }, { list[2].action, list[2].delay })
      assert.same({ "fail", "quarantine" }, { list[3].action, list[4].action })
   end)

   it("for corrupt data is to make it again, or to read it once more", function()
      local list = verdicts(plain(), "data_corruption", { { run = 1 }, { run = 1, retry = 3 }, {}, { retry = 2 },
         { retry = 2, of_type = 1 }, { retry = 3, of_type = 2 } })
      local names = {}
      for i, v in ipairs(list) do names[i] = v.action end
      assert.same({ "recompute", "recompute", "retry", "fail", "retry", "fail" }, names)
      assert.equal("the data is corrupt: the task that wrote it runs again", list[1].reason)
      assert.same({ 0, "no task of this job wrote this data: it is read once more" }, { list[3].delay,
         list[3].reason })
      assert.equal("read again it is no better, and no task of this job wrote this data: mend the file, then lmr " ..
         "resume", list[4].reason)
   end)

   it("for a full disk is to wait three times, then to stop", function()
      local list = verdicts(plain(), "disk_full", { {}, { retry = 2 }, { retry = 3 }, { retry = 4 },
         { retry = 4, of_type = 1 } })
      assert.same({ 1, 2, 4, 0, 8 }, { list[1].delay, list[2].delay, list[3].delay, list[4].delay, list[5].delay })
      assert.same({ "retry", "retry", "retry", "stop", "retry" }, { list[1].action, list[2].action, list[3].action,
         list[4].action, list[5].action })
      assert.equal("waiting for room on the disk (2 of 3)", list[2].reason)
      assert.equal("the disk is full: make room, then lmr resume goes on", list[4].reason)
      local efbig = 27 -- waiting makes no file smaller
      assert.same({ "fail", "files cannot be larger here: waiting cannot help" }, (function(v)
         return { v.action, v.reason }
      end)(verdicts(plain(), "disk_full", { { os_error = efbig } })[1]))
   end)

   for _, type in ipairs { "script_error", "bad_record" } do
      it("for " .. type .. " is to put the record aside, or to fail", function()
         local list = verdicts(plain(), type, { known, { culprit = 1 }, { quarantine = 1 } })
         assert.same({ "quarantine", "fail", "fail" }, { list[1].action, list[2].action, list[3].action })
         assert.equal("it would fail in the same way again; the record is put aside", list[1].reason)
         assert.matches("limits.max_quarantined lets no more", list[2].reason, 1, true)
         assert.matches("no record is known", list[3].reason, 1, true)
      end)
   end

   it("for a declared type is to try again, then to put the record aside, or to fail", function()
      local list = verdicts(plain(), "rate_limited", { with(known, { retry = 3, same = 3 }),
         with(known, { retry = 4, same = 4 }), { retry = 4 }, { retry = 1, retry_after = 90 } })
      assert.same({ "retry", 4 }, { list[1].action, list[1].delay })
      assert.same({ "quarantine", "its 3 retries are used up (retry.max_retries); the record is put aside",
         "built-in: rate_limited" }, { list[2].action, list[2].reason, list[2].rule })
      assert.same({ "fail", 90 }, { list[3].action, list[4].delay })
   end)

   it("tries nothing again where retry.max_retries is 0", function()
      local profile = plain { retry = { max_retries = 0, jitter = "none" } }
      for type, action in pairs { task_crash = "fail", network_failure = "fail", timeout = "fail",
         memory_error = "fail", data_corruption = "fail", disk_full = "stop",
         script_error = "quarantine", bad_record = "quarantine", rate_limited = "quarantine" } do
         assert.same({ action }, actions(profile, type, { with(known, { memory = GB, progress = 10 }) }), type)
      end
      assert.same({ "recompute" }, actions(profile, "data_corruption", { { run = 1 } }))
   end)

   it("for a wrong job is to fail", function()
      assert.same({ "fail", "fail" }, actions(plain(), "usage", { known, { retry = 2 } }))
   end)

   it("is told for every type", function()
      local told, what = {}, {}
      for i, line in ipairs(session "texts") do
         local type, text = line:match("^([^\t]+)\t(.+)$")
         told[i], what[type] = type, text
      end
      assert.same({ "task_crash", "network_failure", "timeout", "memory_error", "data_corruption", "disk_full",
         "script_error", "bad_record", "declared types", "all types" }, told)
      assert.matches("up to retry.max_retries", what.task_crash, 1, true)
   end)

   it("has a profile's own delays where it gives no profile", function()
      local lines = session("rules", "begin task_crash", "begin task_crash retry=4")
      assert.equal("ok 0 0", lines[1])
      local first = read(lines[2])
      assert.equal("retry", first.action)
      assert.is_true(first.delay >= 0 and first.delay < 1)
      assert.equal("fail", read(lines[3]).action)
   end)
end)

-- --- rules ---

describe("a rule that is a verdict", function()
   for _, name in ipairs { "quarantine", "recompute", "drop_task", "fail", "stop", "abort" } do
      it("'" .. name .. "' is that", function()
         local v = verdicts(one_rule("script_error", { kind = "verdict", action = name }), "script_error",
            { with(known, { drop = 1, run = 1 }) })[1]
         assert.same({ name, 0, 0, 0, "my.lua:12", ("the profile says %s for script_error"):format(name) },
            { v.action, v.delay, v.memory, v.timeout, v.rule, v.reason })
      end)
   end

   it("'retry' is a retry in the way of the profile", function()
      local list = verdicts(one_rule("script_error", { kind = "verdict", action = "retry" }), "script_error",
         { { retry = 1 }, { retry = 3 }, { retry = 4 }, with(known, { retry = 4 }) })
      assert.same({ "retry", 1, "my.lua:12", "retry 1 of 3" }, { list[1].action, list[1].delay, list[1].rule,
         list[1].reason })
      assert.same({ 4, "fail", "quarantine" }, { list[2].delay, list[3].action, list[4].action })
   end)

   it("is for its type alone", function()
      local profile = one_rule("script_error", { kind = "verdict", action = "abort" })
      assert.same({ "quarantine" }, actions(profile, "bad_record", { known }))
   end)
end)

describe("a rule that is a table", function()
   local function table_rule(more)
      return with({ kind = "table", max_retries = 2, strategy = "fixed_delay", jitter = "none", base_delay_seconds = 7,
         max_delay_seconds = 60, backoff_multiplier = 2, source = "my.lua:30" }, more or {})
   end

   it("retries with its own numbers, then does what is left", function()
      local profile = one_rule("script_error", table_rule())
      local list = verdicts(profile, "script_error", { { retry = 1 }, { retry = 2 }, { retry = 3 },
         with(known, { retry = 3 }) })
      assert.same({ "retry", 7, "my.lua:30", "retry 1 of 2" }, { list[1].action, list[1].delay, list[1].rule,
         list[1].reason })
      assert.same({ "retry", "fail", "quarantine" }, { list[2].action, list[3].action, list[4].action })
      assert.equal("its 2 retries are used up; no record is known that could be put aside", list[3].reason)
   end)

   it("says what follows when it is exhausted", function()
      for _, name in ipairs { "quarantine", "drop_task", "fail", "stop", "abort", "recompute" } do
         local v = verdicts(one_rule("bad_record", table_rule { on_exhausted = name }), "bad_record",
            { with(known, { retry = 3, drop = 1, run = 1 }) })[1]
         assert.same({ name, "its 2 retries are used up", "my.lua:30" }, { v.action, v.reason, v.rule })
      end
      local v = verdicts(one_rule("bad_record", table_rule { on_exhausted = "retry" }), "bad_record",
         { with(known, { retry = 9 }) })[1]
      assert.same({ "retry", 7 }, { v.action, v.delay })
   end)

   it("takes the same record twice for poison where failures are not expected to repeat", function()
      for type, action in pairs { task_crash = "quarantine", network_failure = "quarantine", timeout = "quarantine",
         script_error = "retry", rate_limited = "retry", disk_full = "retry" } do
         local profile = one_rule(type, table_rule())
         assert.same({ action }, actions(profile, type, { with(known, { retry = 2, same = 2 }) }), type)
      end
      assert.same({ "stop" }, actions(one_rule("task_crash", table_rule { on_exhausted = "stop" }), "task_crash",
         { with(known, { retry = 2, same = 2 }) }))
   end)

   it("gives more memory with its own numbers", function()
      local profile = one_rule("memory_error", table_rule { max_retries = 3, memory_multiplier = 4,
         max_memory = 3 * GB, on_exhausted = "stop" })
      local list = verdicts(profile, "memory_error", { { memory = 512 * MB }, { memory = 2 * GB, retry = 2 },
         { memory = 3 * GB, retry = 3 }, { memory = GB, retry = 4 } })
      assert.same({ "retry", 7, 2 * GB }, { list[1].action, list[1].delay, list[1].memory })
      assert.same({ "retry", 3 * GB }, { list[2].action, list[2].memory })
      assert.same({ "stop", "it has had all the memory it may have (max_memory)" }, { list[3].action, list[3].reason })
      assert.same({ "stop", 0 }, { list[4].action, list[4].memory })
      profile = one_rule("memory_error", table_rule { memory_multiplier = 1 })
      assert.same({ 0, "retry" }, (function(v) return { v.memory, v.action } end)(
         verdicts(profile, "memory_error", { { memory = 8 * GB } })[1]))
   end)

   it("gives a timeout more time", function()
      local v = verdicts(one_rule("timeout", table_rule()), "timeout", { { task = 30 } })[1]
      assert.same({ "retry", 60 }, { v.action, v.timeout })
   end)

   it("waits as long as it is asked to", function()
      local v = verdicts(one_rule("network_failure", table_rule()), "network_failure", { { retry_after = 120 } })[1]
      assert.equal(120, v.delay)
   end)

   it("does not take an answer 4xx for the end by itself", function()
      assert.same({ "retry" }, actions(one_rule("network_failure", table_rule()), "network_failure",
         { { ["d.status"] = 404 } }))
   end)
end)

-- --- functions ---

local chain = plain { rules = { timeout = {
   { kind = "function", ref = 3, source = "my.lua:5" },
   { kind = "function", ref = 1, source = "my.lua:9" },
   { kind = "table", source = "base.lua:2", max_retries = 8, strategy = "linear_backoff", jitter = "none",
     base_delay_seconds = 5, max_delay_seconds = 100 },
} } }

describe("a rule that is a function", function()
   it("is asked, and the next one when it has no opinion", function()
      local v, lines = last(rules(chain), begin("timeout", { retry = 2 }), answer(n.null), answer(n.null))
      assert.same({ "ok 1 1", "ask 3 0 0", "ask 1 1 0" }, { lines[1], lines[2], lines[3] })
      assert.same({ "retry", 10, "base.lua:2" }, { v.action, v.delay, v.rule })
   end)

   it("leaves the built-in verdict when nobody has an opinion", function()
      local profile = one_rule("bad_record", { kind = "function", ref = 1 })
      local v = last(rules(profile), begin("bad_record", known), answer(n.null))
      assert.same({ "quarantine", "built-in: bad_record" }, { v.action, v.rule })
   end)

   local function asked(value, fields, profile, type)
      return (last(rules(profile or chain), begin(type or "timeout", fields or {}), answer(value)))
   end

   it("may give a verdict's name", function()
      for _, name in ipairs { "fail", "stop", "abort", "drop_task", "recompute", "quarantine" } do
         local v = asked(name, with(known, { drop = 1, run = 1, same = 2 }))
         assert.same({ name, "my.lua:5", "the profile's function says " .. name }, { v.action, v.rule, v.reason })
      end
   end)

   it("may retry above max_retries, with the numbers of the chain's table, else of the profile", function()
      local v = asked("retry", { retry = 12 })
      assert.same({ "retry", 60, "my.lua:5" }, { v.action, v.delay, v.rule })
      v = asked("retry", { retry = 3 }, one_rule("bad_record", { kind = "function", ref = 1 }), "bad_record")
      assert.same({ "retry", 4 }, { v.action, v.delay })
   end)

   it("may say all a verdict has", function()
      local v = asked { action = "retry", delay_seconds = 3.5, memory_limit = GB, timeout_seconds = 60,
         fresh_worker = true, reason = "the moon is full" }
      assert.same({ action = "retry", delay = 3.5, memory = GB, timeout = 60, fresh = true, rule = "my.lua:5",
         reason = "the moon is full" }, v)
   end)

   it("gives the delay it says, whatever was asked for", function()
      assert.equal(0, asked({ action = "retry", delay_seconds = 0 }, { retry_after = 50 }).delay)
      assert.equal(50, asked({ action = "retry" }, { retry_after = 50 }).delay)
      assert.equal(5000, asked({ action = "retry", delay_seconds = 5000 }).delay)
      assert.equal(604800, asked({ action = "retry", delay_seconds = 1e15 }).delay)
   end)

   it("changes memory and time as any retry does, where it says nothing of them", function()
      assert.equal(120, asked("retry", { task = 60 }).timeout)
      assert.equal(90, asked({ action = "retry", timeout_seconds = 90 }, { task = 60 }).timeout)
      local profile = one_rule("memory_error", { kind = "function", ref = 1 })
      local v = asked("retry", { memory = GB }, profile, "memory_error")
      assert.same({ 2 * GB, "the profile's function says retry, with a memory limit of 2 GB" }, { v.memory,
         v.reason })
      assert.equal(9 * GB, asked({ action = "retry", memory_limit = 9 * GB }, { memory = GB }, profile,
         "memory_error").memory)
      assert.equal(0, asked("retry", { memory = 4 * GB }, profile, "memory_error").memory)
   end)

   it("says nothing of a retry that there will not be", function()
      local v = asked { action = "fail", delay_seconds = 3, memory_limit = GB, timeout_seconds = 9,
         fresh_worker = true, reason = "x" }
      assert.same({ "fail", 0, 0, 0, false }, { v.action, v.delay, v.memory, v.timeout, v.fresh })
   end)

   it("that answers nonsense leaves the built-in verdict, and says what was wrong", function()
      for _, case in ipairs {
         { "retyr", "it is the name of no verdict" }, { "", "it is the name of no verdict" },
         { 1, "it is neither a verdict's name nor a table" }, { 0.5, "it is neither" }, { true, "it is neither" },
         { { "retry" }, "it is neither" }, { n.map {}, "it has no action" },
         { { delay_seconds = 1 }, "it has no action" }, { { action = "retyr" }, "its action is no verdict" },
         { { action = 1 }, "its action is no verdict" }, { { action = n.null }, "its action is no verdict" },
         { { action = "retry", delay_seconds = -1 }, "its delay_seconds is no number of seconds" },
         { { action = "retry", delay_seconds = 0 / 0 }, "its delay_seconds is no number" },
         { { action = "retry", delay_seconds = 1 / 0 }, "its delay_seconds is no number" },
         { { action = "retry", delay_seconds = "1" }, "its delay_seconds is no number" },
         { { action = "retry", memory_limit = 0 }, "its memory_limit is no size" },
         { { action = "retry", memory_limit = "1G" }, "its memory_limit is no size" },
         { { action = "retry", memory_limit = 1e30 }, "its memory_limit is no size" },
         { { action = "retry", timeout_seconds = 0 }, "its timeout_seconds is no number" },
         { { action = "retry", fresh_worker = 1 }, "its fresh_worker is no boolean" },
         { { action = "retry", reason = { 1 } }, "its reason is no text" },
         { { action = "retry", later = 1 }, "it has a field that no verdict has" },
         { n.map { { 1, "retry" } }, "it has a field that no verdict has" },
      } do
         local v = asked(case[1], { retry = 2, progress = 10 })
         assert.same({ "retry", 2, "built-in: timeout" }, { v.action, v.delay, v.rule }, case[2])
         assert.matches("the policy failed (my.lua:5: the answer makes no sense: " .. case[2], v.reason, 1, true)
         assert.matches("), so the built-in verdict stands: retry 2 of 3", v.reason, 1, true)
      end
      local v = last(rules(chain), begin("timeout"), "answer")
      assert.matches("my.lua:5: the answer makes no sense: it does not decode", v.reason, 1, true)
   end)

   it("that fails leaves the built-in verdict", function()
      local v = last(rules(chain), begin("timeout", { retry = 4 }), "no_answer my.lua:14: attempt to index a nil value")
      assert.same({ "fail", "built-in: timeout" }, { v.action, v.rule })
      assert.equal("the policy failed (my.lua:14: attempt to index a nil value), so the built-in verdict stands: " ..
         "its 3 retries are used up (retry.max_retries)", v.reason)
      assert.same(v, (last(rules(chain), begin("timeout", { retry = 4 }),
         "built_in my.lua:14: attempt to index a nil value")))
      assert.equal("retry 1 of 3", last(rules(plain()), begin "task_crash", "built_in").reason)
   end)

   it("that fails with a long message keeps the reason short, and whole at its end", function()
      local v = last(rules(chain), begin "timeout", "no_answer " .. ("x"):rep(5000))
      assert.is_true(#v.reason < 512)
      assert.matches("xxx%), so the built%-in verdict stands: retry 1 of 3$", v.reason)
   end)
end)

describe("a strategy that is a function", function()
   local profile = plain { retry = { max_retries = 3, strategy = { ["function"] = 6 }, jitter = "none",
      base_delay_seconds = 1, max_delay_seconds = 60, backoff_multiplier = 2 } }

   it("is asked for the delay of a retry, and for nothing else", function()
      local lines = session(rules(profile), begin("task_crash", { retry = 2 }), answer(12.5),
         begin("task_crash", { retry = 4 }), begin("script_error", known))
      assert.same({ "ok 0 1", "ask 6 0 1" }, { lines[1], lines[2] })
      local v = read(lines[3])
      assert.same({ "retry", 12.5, "built-in: task_crash" }, { v.action, v.delay, v.rule })
      assert.same({ "fail", "quarantine" }, { read(lines[4]).action, read(lines[5]).action })
   end)

   it("is bounded by the longest delay, and by what the failure asks for", function()
      for _, case in ipairs { { 100, {}, 60 }, { 0, {}, 0 }, { 3, { retry_after = 90 }, 90 },
         { 20, { retry_after = 10 }, 20 } } do
         assert.equal(case[3], last(rules(profile), begin("task_crash", case[2]), answer(case[1])).delay)
      end
   end)

   it("is jittered", function()
      local full = plain { retry = with(profile.retry, { jitter = "full" }) }
      local delay = tonumber(session("jittered full 1 60 40 2 77")[1])
      assert.is_true(delay > 0 and delay < 40)
      assert.equal(delay, last(rules(full), begin("task_crash", { retry = 2, seed = 77 }), answer(40)).delay)
   end)

   it("that answers nonsense, or fails, leaves the exponential delay and the retry", function()
      for _, value in ipairs { -1, "1", n.null, 0 / 0, { 1 } } do
         local v = last(rules(profile), begin("task_crash", { retry = 3 }), answer(value))
         assert.same({ "retry", 4, "built-in: task_crash" }, { v.action, v.delay, v.rule })
         assert.matches("it is no number of seconds), so the delay is exponential: retry 3 of 3", v.reason, 1, true)
      end
      local v = last(rules(profile), begin("task_crash", { retry = 3 }), "no_answer took longer than 2 s")
      assert.same({ "retry", 4 }, { v.action, v.delay })
      assert.equal("the policy failed (took longer than 2 s), so the delay is exponential: retry 3 of 3", v.reason)
   end)

   it("is not asked again by the built-in verdict", function()
      local v = last(rules(profile), begin("task_crash", { retry = 2 }), "built_in it is dead")
      assert.same({ "retry", 2 }, { v.action, v.delay })
   end)

   it("follows a function that says retry", function()
      local both = plain { retry = profile.retry, rules = { timeout = { { kind = "function", ref = 2, source = "a:1" },
         { kind = "table", source = "a:2", strategy = { ["function"] = 9 }, max_retries = 1 } } } }
      local v, lines = last(rules(both), begin("timeout", { retry = 5 }), answer { action = "retry", reason = "so" },
         answer(8))
      assert.same({ "ask 2 0 0", "ask 9 0 1" }, { lines[2], lines[3] })
      assert.same({ "retry", 8, "a:1", "so" }, { v.action, v.delay, v.rule, v.reason })
      v = last(rules(both), begin "timeout", answer { action = "retry", delay_seconds = 1 })
      assert.same({ "retry", 1 }, { v.action, v.delay })
   end)
end)

-- --- bounds ---

describe("limits.max_attempts", function()
   local profile = plain { limits = { max_attempts = 4 } }

   it("ends what would run once more, and nothing else", function()
      local list = verdicts(profile, "task_crash", { { attempt = 2 }, { attempt = 3 } })
      assert.equal("retry", list[1].action)
      assert.same({ "fail", "limits.max_attempts",
         "all attempts a task may have are made: 4 (built-in: task_crash said retry)" }, { list[2].action,
         list[2].rule, list[2].reason })
      local last_one = with(known, { attempt = 3, drop = 1, run = 1, same = 2 })
      for name, action in pairs { quarantine = "fail", recompute = "fail", retry = "fail", drop_task = "drop_task",
         fail = "fail", stop = "stop", abort = "abort" } do
         local own = one_rule("bad_record", { kind = "verdict", action = name })
         own.limits = profile.limits
         assert.same({ action }, actions(own, "bad_record", { last_one }), name)
      end
   end)

   it("stands above a function", function()
      local own = with(chain, { limits = profile.limits })
      local v = last(rules(own), begin("timeout", { attempt = 3 }), answer "retry")
      assert.same({ "fail", "limits.max_attempts",
         "all attempts a task may have are made: 4 (my.lua:5 said retry)" }, { v.action, v.rule, v.reason })
   end)

   it("is 20 where nothing is said", function()
      assert.same({ "retry", "fail" }, actions({}, "task_crash", { { attempt = 18 }, { attempt = 19 } }))
   end)
end)

describe("the retry budget", function()
   it("ends retries, and says what to do", function()
      local profile = plain { retry_budget = { tokens = 50, refill_per_success = 0.1 } }
      local list = verdicts(profile, "task_crash", { { budget = 1 }, { budget = 0.9 } })
      assert.equal("retry", list[1].action)
      assert.same({ "fail", "retry_budget" }, { list[2].action, list[2].rule })
      assert.equal("too many retries in this job: mend what fails, then lmr resume, or raise retry_budget.tokens " ..
         "(50) (built-in: task_crash said retry)", list[2].reason)
   end)

   it("does not end what goes on without the culprit, nor what is made again", function()
      assert.same({ "quarantine" }, actions(plain(), "bad_record", { with(known, { budget = 0 }) }))
      assert.same({ "recompute" }, actions(plain(), "data_corruption", { { run = 1, budget = 0 } }))
      assert.same({ "stop" }, actions(plain(), "disk_full", { { retry = 4, budget = 0 } }))
   end)

   it("stands above a function", function()
      local v = last(rules(chain), begin("timeout", { budget = 0 }), answer { action = "retry", delay_seconds = 1 })
      assert.same({ "fail", "retry_budget" }, { v.action, v.rule })
   end)

   it("is asked before a strategy function is", function()
      local profile = plain { retry = { max_retries = 3, strategy = { ["function"] = 6 } } }
      assert.same({ "fail" }, actions(profile, "task_crash", { { budget = 0 } }))
   end)
end)

describe("a verdict that cannot be", function()
   local function ruled(type, action, fields)
      return verdicts(one_rule(type, { kind = "verdict", action = action }), type, { fields })[1]
   end

   it("to put aside what is not known, or too much, is a failure", function()
      local v = ruled("network_failure", "quarantine", { quarantine = 1 })
      assert.same({ "fail", "my.lua:12", "the profile says quarantine for network_failure; no record is known that " ..
         "could be put aside" }, { v.action, v.rule, v.reason })
      v = ruled("network_failure", "quarantine", { culprit = 1, key = "the" })
      assert.same({ "fail", "the profile says quarantine for network_failure; limits.max_quarantined lets no more " ..
         "groups be put aside" }, { v.action, v.reason })
   end)

   it("to put aside what another run has not confirmed is one more run", function()
      for _, type in ipairs { "task_crash", "timeout", "memory_error" } do
         local v = ruled(type, "quarantine", known)
         assert.same({ "retry", 0, "my.lua:12", "to confirm the culprit: the same record must fail once more" },
            { v.action, v.delay, v.rule, v.reason })
         assert.equal("quarantine", ruled(type, "quarantine", with(known, { same = 2, retry = 2 })).action)
         assert.equal("fail", ruled(type, "quarantine", { quarantine = 1 }).action)
      end
      for _, type in ipairs { "script_error", "bad_record", "rate_limited", "network_failure" } do
         assert.equal("quarantine", ruled(type, "quarantine", known).action)
      end
      local v = last(rules(chain), begin("timeout", known), answer "quarantine")
      assert.same({ "retry", 0, "my.lua:5" }, { v.action, v.delay, v.rule })
      v = verdicts(plain(), "memory_error", { with(known, { memory = 4 * GB }) })[1]
      assert.same({ "retry", 0, 0 }, { v.action, v.delay, v.memory })
   end)

   it("to leave out a task that is needed is a failure", function()
      local v = ruled("script_error", "drop_task", {})
      assert.same({ "fail", "my.lua:12" }, { v.action, v.rule })
      assert.matches("the job cannot go on without this task", v.reason, 1, true)
      assert.equal("drop_task", ruled("script_error", "drop_task", { drop = 1 }).action)
   end)

   it("to make again what no task made is to read it once more", function()
      assert.same({ "retry", 0 }, (function(v) return { v.action, v.delay } end)(
         ruled("data_corruption", "recompute", {})))
      assert.equal("fail", ruled("data_corruption", "recompute", { retry = 2 }).action)
      assert.equal("recompute", ruled("data_corruption", "recompute", { retry = 2, run = 1 }).action)
   end)
end)

-- --- records in living attempts ---

describe("a record in a living attempt", function()
   local function within(profile, type, may)
      return session(rules(profile), ("in_attempt %s %d"):format(type, may or 1))[2]
   end

   it("is put aside by the built-in verdict where its code is at fault", function()
      for type, action in pairs { script_error = "quarantine", bad_record = "quarantine", rate_limited = "fail",
         task_crash = "fail", timeout = "fail", memory_error = "fail", disk_full = "fail", data_corruption = "fail" } do
         assert.equal(action, within(plain(), type), type)
         assert.equal("fail", within(plain(), type, 0), type)
      end
      assert.equal("quarantine", within(plain { retry = { max_retries = 0 } }, "rate_limited"))
   end)

   it("is what the first rule says", function()
      for _, case in ipairs {
         { { kind = "verdict", action = "quarantine" }, "quarantine" },
         { { kind = "verdict", action = "fail" }, "fail" },
         { { kind = "verdict", action = "retry" }, "fail" }, { { kind = "function", ref = 1 }, "ask" },
         { { kind = "table", max_retries = 1 }, "fail" }, { { kind = "table", max_retries = 0 }, "quarantine" },
         { { kind = "table", max_retries = 0, on_exhausted = "quarantine" }, "quarantine" },
         { { kind = "table", max_retries = 0, on_exhausted = "stop" }, "fail" },
      } do
         for _, type in ipairs { "bad_record", "rate_limited" } do
            assert.equal(case[2], within(one_rule(type, case[1]), type))
         end
      end
   end)

   it("is asked about even when nothing more may be put aside, for the answer may be another", function()
      assert.equal("ask", within(one_rule("bad_record", { kind = "function", ref = 1 }), "bad_record", 0))
      assert.equal("fail", within(one_rule("bad_record", { kind = "verdict", action = "quarantine" }), "bad_record", 0))
   end)
end)

-- --- what is read ---

describe("an encoded profile", function()
   it("is refused when it is nonsense, and the field is named", function()
      local function rule_with(more)
         return { rules = { timeout = { with({ kind = "table", source = "a:1" }, more) } } }
      end
      for _, case in ipairs {
         { { retry = 5 }, "retry must be a table" },
         { { retry = { max_retries = -1 } }, "max_retries must be a number" },
         { { retry = { max_retries = 1.5 } }, "max_retries must be a whole number" },
         { { retry = { max_retries = "3" } }, "max_retries must be a number" },
         { { retry = { base_delay_seconds = 0 / 0 } }, "base_delay_seconds must be a number" },
         { { retry = { max_delay_seconds = 1 / 0 } }, "max_delay_seconds must be a number" },
         { { retry = { backoff_multiplier = 0.5 } }, "backoff_multiplier must be a number from 1 to 1000" },
         { { retry = { strategy = "fast" } }, "strategy must be the name of a strategy" },
         { { retry = { strategy = { ["function"] = 0 } } }, "function must be the number of a function" },
         { { retry = { jitter = "some" } }, "jitter must be" }, { { retry = { jitter = 1 } }, "jitter must be" },
         { { memory = { max_memory = -5 } }, "max_memory must be a number of bytes" },
         { { limits = { max_attempts = 0 } }, "max_attempts must be a number" },
         { { retry_budget = { tokens = -1 } }, "tokens must be a number" },
         { { rules = { 1 } }, "rules must be a table" }, { { rules = { timeout = "retry" } }, "rules must be a list" },
         { { rules = { timeout = { 1 } } }, "kind must be" }, { rule_with { kind = "words" }, "kind must be" },
         { rule_with { kind = "verdict", action = "retyr" }, "action must be a verdict" },
         { rule_with { kind = "verdict" }, "action must be a verdict" },
         { rule_with { kind = "function" }, "ref must be the number of a function" },
         { rule_with { on_exhausted = "nothing" }, "on_exhausted must be a verdict" },
         { rule_with { memory_multiplier = 0 }, "memory_multiplier must be a number" },
      } do
         assert.matches("data_corruption: the encoded profile: " .. case[2], session(rules(case[1]))[1], 1, true)
      end
      assert.equal("data_corruption: the encoded profile is no table", session("rules i5")[1])
   end)

   it("may hold booleans for jitter, empty chains, and numbers without end", function()
      assert.equal("ok 1 0", session(rules { retry = { jitter = false }, rules = { timeout = n.map {} },
         retry_budget = { tokens = 1 / 0 }, limits = { max_attempts = 1 << 60 } })[1])
      assert.same({ "retry", 2 }, (function(v) return { v.action, v.delay } end)(
         verdicts({ retry = { jitter = false } }, "timeout", { { retry = 2, budget = "inf" } })[1]))
   end)

   it("that is damaged, and answers that are nonsense, never break what holds for a verdict", function()
      local profile = plain { limits = { max_attempts = 5 }, retry_budget = { tokens = 9 }, memory = { multiplier = 2 },
         rules = {
            timeout = { { kind = "function", ref = 1, source = "a:1" }, { kind = "verdict", action = "quarantine",
               source = "a:2" } },
            bad_record = { { kind = "function", ref = 2, source = "a:3" } },
            memory_error = { { kind = "table", source = "a:4", strategy = { ["function"] = 3 }, jitter = "equal",
               max_retries = 9, memory_multiplier = 3, max_memory = GB, on_exhausted = "drop_task" } },
            task_crash = { { kind = "function", ref = 4, source = "a:5" }, { kind = "table", source = "a:6",
               max_retries = 2, jitter = "decorrelated", on_exhausted = "recompute" } },
            rate_limited = { { kind = "verdict", action = "retry", source = "a:7" } },
         } }
      local count = h.sanitized and 5000 or 30000
      for seed = 1, 4 do
         local line = session(rules(profile), ("random %d %d"):format(seed, count))[2]
         local accepted = tonumber(line:match("^(%d+) of " .. count .. " were profiles$"))
         assert.is_true(accepted > count // 10 and accepted < count, line)
      end
   end)
end)

-- --- fingerprints ---

describe("a fingerprint", function()
   local function of(type, traceback, file, offset, record)
      return session(("fingerprint %s %s %s %d %d"):format(type, traceback, file, offset, record))[1]
   end

   it("tells types, tracebacks and records apart", function()
      local seen, base = {}, { "script_error", "job.lua:3", "a.txt", 10, 2 }
      for _, change in ipairs { {}, { "bad_record" }, { nil, "job.lua:4" }, { nil, nil, "b.txt" },
         { nil, nil, nil, 11 }, { nil, nil, nil, nil, 3 } } do
         local args = {}
         for i = 1, 5 do args[i] = change[i] or base[i] end
         local print = of(table.unpack(args))
         assert.is_nil(seen[print])
         seen[print] = true
      end
      assert.equal(of(table.unpack(base)), of(table.unpack(base)))
   end)

   it("is nothing without a record", function()
      assert.equal(("0"):rep(16), of("task_crash", "x", "a.txt", -1, -1))
   end)

   it("does not depend on where a loop stood, or which allocation was one too many", function()
      for _, type in ipairs { "timeout", "memory_error" } do
         assert.equal(of(type, "job.lua:3", "a.txt", 10, 2), of(type, "job.lua:4", "a.txt", 10, 2))
      end
   end)
end)
