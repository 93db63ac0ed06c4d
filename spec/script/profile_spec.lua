-- What loading a profile gives: layers, rules for each error type, numbers of functions, and where each value stands.
local h = require "spec.helper"
local probe = require "spec.script.probe"

local function described(options)
   local text = 'local mr = require "mr"\nreturn mr.job {\n   map = print,\n   ' .. (options.fields or "") .. "\n}\n"
   local dir = options.dir or h.tmpdir()
   for name, content in pairs(options.files or {}) do h.write(dir, name, content) end
   local name = options.files and options.files["p.lua"] and "./p.lua" or options.profile
   return probe.describe(text, { dir = dir, profile = name, set = options.set })
end

local function load(options)
   local d = described(options)
   assert.is_nil(d.error, d.error and d.error.message)
   return d.profile, d.warnings
end

local function refused(options)
   return assert(described(options).error, "it was taken").message
end

-- A chain in short: "function 2", "quarantine", "table".
local function chain(profile, name)
   local short = {}
   for i, rule in ipairs(profile.rules[name]) do
      short[i] = rule.kind == "function" and ("function %d"):format(rule.ref) or rule.action or rule.kind
   end
   return short
end

local function sources(profile, name)
   local all = {}
   for i, rule in ipairs(profile.rules[name]) do all[i] = rule.source end
   return all
end

describe("the rules of a profile", function()
   it("stand for each type of lmr's and of the job's, and are none where nothing is said", function()
      local p = load { fields = 'error_types = { "rate_limited" },', files = { ["p.lua"] = "return {}" } }
      local names = {}
      for name, rules in pairs(p.rules) do
         names[#names + 1] = name
         assert.is_table(rules)
      end
      table.sort(names)
      assert.same({ "bad_record", "data_corruption", "disk_full", "memory_error", "network_failure", "rate_limited",
         "script_error", "task_crash", "timeout" }, names)
   end)

   it("are a layer's own rule, then its '*', then those of the layer below", function()
      local p = load {
         files = {
            ["base.lua"] = [[return { on_error = {
               timeout = { max_retries = 4 },
               bad_record = "quarantine",
               ["*"] = "fail",
            } }]],
            ["p.lua"] = [[return { extends = "base.lua", on_error = {
               timeout = function() end,
               ["*"] = function() end,
               task_crash = { max_retries = 2, decide = function() end },
            } }]],
         } }
      assert.same({ "function 3", "function 1", "table" }, chain(p, "timeout"))
      assert.same({ "./p.lua:2", "./p.lua:3", "./base.lua:2" }, sources(p, "timeout"))
      assert.same({ "function 1", "quarantine" }, chain(p, "bad_record"))
      assert.same({ "./p.lua:3", "./base.lua:3" }, sources(p, "bad_record"))
      assert.same({ "function 2", "table" }, chain(p, "task_crash"))
      assert.same({ "function 1", "fail" }, chain(p, "disk_full"))
      assert.equal("./base.lua:4", p.rules.disk_full[2].source)
   end)

   it("end at the first that decides in any case", function()
      local p = load { files = { ["p.lua"] = 'return { on_error = { timeout = "stop", ["*"] = function() end } }' },
                       set = { "on_error.*=abort" } }
      assert.same({ "abort" }, chain(p, "timeout"))
      assert.same({ "--set on_error.*" }, sources(p, "timeout"))
   end)

   it("that are tables are complete: retry's values under theirs", function()
      local p = load { files = { ["p.lua"] = [[return {
         retry = { max_retries = 6, strategy = "linear_backoff", base_delay_seconds = "1.5s", jitter = "equal" },
         on_error = { memory_error = { max_retries = 1, max_memory = "1G", on_exhausted = "stop" },
                      timeout = { strategy = "immediate", jitter = false } } }]] } }
      assert.same({ kind = "table", source = "./p.lua:3", max_retries = 1, strategy = "linear_backoff",
         base_delay_seconds = 1.5, max_delay_seconds = 60, backoff_multiplier = 2, jitter = "equal",
         memory_multiplier = 2, max_memory = 1 << 30, on_exhausted = "stop" }, p.rules.memory_error[1])
      assert.same({ "immediate", "none", 6 }, { p.rules.timeout[1].strategy, p.rules.timeout[1].jitter,
         p.rules.timeout[1].max_retries })
      assert.is_nil(p.rules.timeout[1].on_exhausted)
      assert.same({ multiplier = 2, max_memory = 1 << 30 }, p.memory)
   end)

   it("that are tables overlay a weaker layer's, function included; false takes a key away", function()
      local files = {
         ["base.lua"] = [[return { on_error = { timeout = {
            max_retries = 9, base_delay_seconds = 7, on_exhausted = "stop", decide = function() end } } }]],
         ["p.lua"] = [[return { extends = "base.lua", on_error = { timeout = { max_retries = 1 } } }]],
      }
      local p = load { files = files }
      assert.same({ "function 1", "table" }, chain(p, "timeout"))
      assert.same({ "./base.lua:2", "./p.lua:1" }, sources(p, "timeout"))
      local rule = p.rules.timeout[2]
      assert.same({ 1, 7, "stop" }, { rule.max_retries, rule.base_delay_seconds, rule.on_exhausted })
      p = load { files = files, set = { "on_error.timeout.base_delay_seconds=false",
         "on_error.timeout.on_exhausted=false" } }
      rule = p.rules.timeout[2]
      assert.same({ 1, 1 }, { rule.max_retries, rule.base_delay_seconds })
      assert.is_nil(rule.on_exhausted)
      files["p.lua"] = [[return { extends = "base.lua", on_error = { timeout = { max_retries = 1, decide = false } } }]]
      assert.same({ "table" }, chain(load { files = files }, "timeout"))
   end)

   it("are forgotten where a type is false; the built-in verdict stands then", function()
      local files = { ["p.lua"] = [[return { on_error = {
         timeout = "stop", task_crash = function() end, ["*"] = "fail" } }]] }
      local p = load { files = files, set = { "on_error.timeout=false" } }
      assert.same({}, chain(p, "timeout"))
      assert.same({ "function 1", "fail" }, chain(p, "task_crash"))
      p = load { files = files, set = { "on_error.*=false" } }
      assert.same({ "stop" }, chain(p, "timeout"))
      assert.same({ "function 1" }, chain(p, "task_crash"))
      assert.same({}, chain(p, "disk_full"))
   end)

   it("of the job stand between production and the profile asked for", function()
      local fields = 'recovery = { on_error = {\n      timeout = "stop",\n      disk_full = "abort" } },'
      local p = load { fields = fields, files = { ["p.lua"] = 'return { on_error = { timeout = "fail" } }' } }
      assert.same({ "fail" }, chain(p, "timeout"))
      assert.same({ "abort" }, chain(p, "disk_full"))
      assert.same({ "job.lua:6" }, sources(p, "disk_full"))
   end)

   it("say fail for everything where recovery is false", function()
      local p = load { fields = "recovery = false,", profile = nil }
      for name in pairs(p.rules) do assert.same({ "fail" }, chain(p, name)) end
      assert.same({ "job.lua:4" }, sources(p, "bad_record"))
      assert.same({ 0, false, false, 0 }, { p.retry.max_retries, p.checkpoint.enabled, p.speculation.enabled,
         p.limits.max_quarantined })
   end)
end)

describe("functions", function()
   it("are numbered from the strongest layer on, by their keys, and stand where they are written", function()
      local p = load {
         fields = "recovery = { retry = { strategy = function() return 1 end },\n" ..
            "on_error = { timeout = function() end } },",
         files = { ["p.lua"] = "return { on_error = { bad_record = function() end,\n" ..
            "['*'] = { decide = function() end } } }" },
      }
      assert.same({ "function 1", "function 3" }, chain(p, "timeout"))
      assert.same({ "./p.lua:2", "job.lua:5" }, sources(p, "timeout"))
      assert.same({ "function 2", "function 1" }, chain(p, "bad_record"))
      assert.same({ ["function"] = 4 }, p.retry.strategy)
   end)

   it("may be a table's strategy", function()
      local p = load { files = {
         ["p.lua"] = "return { on_error = { timeout = { strategy = function() return 1 end } } }" } }
      assert.same({ ["function"] = 1 }, p.rules.timeout[1].strategy)
   end)
end)

describe("provenance", function()
   it("is file and line, --set or built-in, of each value", function()
      local p = load {
         fields = "recovery = {\n      retry = { base_delay_seconds = 2 },\n      log = { level = 'debug' } },",
         files = { ["p.lua"] = [[
-- retry = { max_retries = 99 }
local text = "retry = { max_retries = 98 }"
return {
   on_error = { timeout = function() local t = { max_retries = 3 } return t end,
                task_crash = { max_retries = 4 } },
   retry = {
      max_retries = 5,   -- here
   },
   speculation = { enabled = #text > 0 },
}]] }, set = { "limits.max_attempts=7", "limits.memory_limit=false" } }
      local from = p.provenance
      assert.same({ "./p.lua:7", "job.lua:5", "job.lua:6", "./p.lua:9", "--set limits.max_attempts" },
         { from["retry.max_retries"], from["retry.base_delay_seconds"], from["log.level"], from["speculation.enabled"],
           from["limits.max_attempts"] })
      assert.same({ "./p.lua:5", "built-in", "--set limits.memory_limit" },
         { from["on_error.task_crash.max_retries"], from["failure_simulation.enabled"], from["limits.memory_limit"] })
      assert.matches("^profiles/production%.lua:%d+$", from["limits.progress_timeout_seconds"])
   end)

   it("names the file alone for what was not written as one table", function()
      local p = load { files = {
         ["p.lua"] = "local p = {} p['re' .. 'try'] = { ['max' .. '_retries'] = 1 } return p" } }
      assert.same({ 1, "./p.lua" }, { p.retry.max_retries, p.provenance["retry.max_retries"] })
   end)

   it("finds keys of a table that has a name", function()
      local p = load { files = { ["p.lua"] = "local p = {\n [\"retry\"] = {\n ['max_retries'] = 1 } }\n" ..
         "p.log = { level = [==[\ndebug]==] }\nreturn p" } }
      assert.same({ "./p.lua:3", "./p.lua:4" }, { p.provenance["retry.max_retries"], p.provenance["log.level"] })
   end)

   it("lists the keys of the plan", function()
      assert.same({ "checkpoint.checkpoint_dir", "checkpoint.durable", "failure_simulation.enabled",
         "failure_simulation.failure_rate", "failure_simulation.failure_types", "failure_simulation.seed",
         "failure_simulation.target_tasks" }, load({}).plan_keys)
   end)
end)

describe("a wrong rule", function()
   it("is refused with its own line", function()
      assert.equal("./p.lua:3: on_error.timeout has no 'max_retrys'; is it 'max_retries'?", refused { files = {
         ["p.lua"] = "return { retry = { max_retries = 1 }, on_error = {\n timeout = {\n max_retrys = 1 } } }" } })
      assert.equal("./p.lua:2: on_error.timeout: max_retries must be an integer from 0 to 1000000, not -1",
         refused { files = { ["p.lua"] = "return { retry = { max_retries = 1 }, on_error = {\n" ..
            "timeout = { max_retries = -1 } } }" } })
      assert.equal("./p.lua:1: on_error.timeout must be one of \"retry\", \"quarantine\", \"recompute\", " ..
         "\"drop_task\", \"fail\", \"stop\", \"abort\", a function or a table, not \"quarantin\"; " ..
         "is it \"quarantine\"?",
         refused { files = { ["p.lua"] = "return { on_error = { timeout = 'quarantin' } }" } })
      assert.equal("./p.lua:1: limits: max_quarantined must be a count such as 100, or a share such as " ..
         "\"0.5%\", not \"101%\"",
         refused { files = { ["p.lua"] = "return { limits = { max_quarantined = '101%' } }" } })
   end)

   it("of a type nobody declares is a warning in a file, an error in job and --set", function()
      local files = { ["p.lua"] = "return { on_error = {\n   rate_limited = 'stop' } }" }
      local p, warnings = load { files = files }
      assert.is_nil(p.rules.rate_limited)
      assert.same({ "./p.lua:2: on_error.rate_limited: the job declares no such error type; it would with " ..
         "error_types = { \"rate_limited\" }" }, warnings)
      p, warnings = load { files = files, fields = 'error_types = { "rate_limited" },' }
      assert.same({ "stop" }, chain(p, "rate_limited"))
      assert.same({}, warnings)
      assert.equal("job.lua:4: on_error has no error type 'rate_limited'; a job declares its own with " ..
         "error_types = { … }", refused { fields = 'recovery = { on_error = { rate_limited = "stop" } },' })
      assert.equal("--set on_error.rate_limited=stop: on_error has no error type 'rate_limited'; a job declares its " ..
         "own with error_types = { … }", refused { set = { "on_error.rate_limited=stop" } })
      assert.equal("./p.lua:1: on_error has no error type 'rate_limitd'; is it 'rate_limited'?",
         refused { fields = 'error_types = { "rate_limited" },',
            files = { ["p.lua"] = "return { on_error = { rate_limitd = 'stop' } }" } })
   end)
end)
