-- A running job takes another profile over its control socket. The driver is the loop of spec/tools/policy_probe.c.
local h = require "spec.helper"
local json = require "cjson"
local support = require "spec.recover.policy_support"

local setup = support.setup

describe("lmr profile use", function()
   -- A state folder with a job whose "driver" is the probe.
   local function serve(config, state, id)
      local dir = state .. "/" .. id
      h.write(dir, "journal.db", "")
      local script = support.lines { support.config(config), support.load(config), support.WAIT,
                                     { ["do"] = "serve", dir = dir } }
      local driver = h.background({}, { binary = support.probe, stdin = script })
      h.poll(10, function() return driver:out():find("serving") end)
      return driver, dir
   end

   local function request(dir, value)
      return h.run({ "request", dir, json.encode(value) }, { binary = support.probe })
   end

   local function use(state, ...)
      return h.run({ "profile", "use", "--state-dir", state, ... })
   end

   it("makes a running job take a profile, or says why not", function()
      local config, dir = setup({ "return 'fail'" }, { profile = "retry = { max_retries = 3 }," })
      local state = h.tmpdir()
      local driver, job_dir = serve(config, state, "count-1")
      assert.matches("^600 ", h.sh("stat -c '%a %F' " .. h.quote(job_dir .. "/control.sock")).out)
      h.write(dir, "new.lua", "return {\n   retry = { max_retries = 9 },\n}\n")
      local result = h.run({ "profile", "use", "--state-dir", state, "count", "./new.lua" }, { dir = dir })
      assert.equal("", result.err)
      assert.equal(0, result.code)
      assert.matches("^job count%-1 follows %./new%.lua from its next decision on:\n", result.out)
      assert.truthy(result.out:find("\n  retry.max_retries: 3 -> 9\n", 1, true), result.out)
      h.write(dir, "broken.lua", "return {\n   retry = { max_retrys = 9 },\n}\n")
      result = use(state, "count-1", dir .. "/broken.lua")
      assert.equal(2, result.code)
      assert.equal("", result.out)
      assert.matches("^lmr: .*/broken%.lua:2: .*max_retrys.*; nothing was changed\n$", result.err)
      result = use(state, "testing")
      assert.equal(0, result.code)
      assert.matches("^job count%-1 follows testing", result.out)
      assert.equal('{"message":"bye","ok":true}\n', request(job_dir, { command = "quit" }).out)
      assert.equal(0, driver:wait(10).code)
      assert.is_false(h.exists(job_dir .. "/control.sock"))
      result = use(state, "count-1", "testing")
      assert.equal(2, result.code)
      assert.equal("lmr: job count-1 is not running\n", result.err)
   end)

   it("is told which job is meant", function()
      local state = h.tmpdir()
      assert.matches("^lmr: no jobs in ", use(state, "testing").err)
      for _, id in ipairs { "count-1", "count-2", "counter-1", "sort-1" } do
         h.write(state .. "/" .. id, "journal.db", "")
      end
      h.write(state .. "/broken-1", "other", "")
      h.sh(("touch -d 2020-01-01 %s/*/journal.db; touch -d 2021-01-01 %s/count-1/journal.db"):format(state, state))
      for word, text in pairs {
         ["count-2"] = "job count-2 is not running", count = "job count-1 is not running",
         so = "job sort-1 is not running", cou = "'cou' is the beginning of several jobs: ",
         ["count-3"] = "no job 'count-3' in ", cuont = "is it 'count'?",
         ["../x"] = "no job '../x' in ",
      } do
         local result = use(state, word, "testing")
         assert.equal(2, result.code)
         assert.truthy(result.err:find(text, 1, true), result.err)
      end
      local broken = use(state, "broken-1", "testing")
      assert.equal(2, broken.code)
      assert.matches("broken%-1/journal%.db is gone: nothing is known of that job any more", broken.err)
      assert.equal("lmr: job count-1 is not running\n", use(state, "testing").err)
      assert.matches("^lmr: cannot read the profile %./no%.lua: No such file", use(state, "count-1", "./no.lua").err)
      assert.matches("^lmr: which profile%? usage: ", use(state).err)
      assert.matches("^lmr: lmr profile use does not take more; usage: ", use(state, "count", "testing", "more").err)
      assert.matches("^lmr: lmr profile use takes no option but", use(state, "testing", "--set", "log.level=info").err)
      h.write(state .. "/sort-1", "journal.db-wal", "x")
      assert.equal("lmr: job sort-1 is not running\n", use(state, "testing").err)
   end)

   it("reaches a job in a folder whose path is long", function()
      local config = setup { "return 'fail'" }
      local state = h.tmpdir() .. "/" .. ("long"):rep(30)
      local driver, dir = serve(config, state, "count-1")
      assert.equal(0, use(state, "testing").code)
      assert.equal(0, request(dir, { command = "quit" }).code)
      assert.equal(0, driver:wait(10).code)
   end)

   it("survives what else comes over the socket", function()
      local config = setup { "return 'fail'" }
      local driver, dir = serve(config, h.tmpdir(), "count-1")
      local socket = h.quote(dir .. "/control.sock")
      assert.equal('{"message":"no such command","ok":false}\n', request(dir, { command = "dance" }).out)
      assert.equal('{"message":"no such command","ok":false}\n', request(dir, {}).out)
      -- Silent ones, as many as wish; nonsense; one that leaves at once.
      local script = ([[
import socket, sys
held = [socket.socket(socket.AF_UNIX) for _ in range(30)]
for one in held: one.connect(sys.argv[1])
for bad in (b"GET / HTTP/1.0\r\n\r\n", b"\0" * 100, b"\xff" * 100000, b""):
    one = socket.socket(socket.AF_UNIX)
    one.connect(sys.argv[1])
    try:
        one.sendall(bad)
    except OSError:
        pass
    one.close()
print("done")
]])
      local python = h.write(h.tmpdir(), "bad.py", script)
      if os.execute("command -v python3 >/dev/null") then
         assert.equal("done\n", h.sh("python3 " .. h.quote(python) .. " " .. socket).out)
      end
      -- A second driver in the same folder.
      local second = h.run({}, { binary = support.probe, stdin = json.encode { ["do"] = "serve", dir = dir } .. "\n" })
      assert.equal(2, second.code)
      assert.matches("is running already", second.err)
      assert.equal(0, request(dir, { command = "quit" }).code)
      assert.equal(0, driver:wait(10).code)
   end)

   it("tells of a job that ends before it answers, or left its socket behind", function()
      local config = setup { "return 'fail'" }
      local state = h.tmpdir()
      local driver, dir = serve(config, state, "count-1")
      local result = request(dir, { command = "leave" })
      assert.equal(2, result.code)
      assert.matches("job count%-1 ended before it answered", result.err)
      assert.equal(0, driver:wait(10).code)
      driver = serve(config, state, "count-1")
      driver:kill("KILL")
      driver:wait(10)
      assert.is_true(h.exists(dir .. "/control.sock"))
      assert.equal("lmr: job count-1 is not running\n", use(state, "testing").err)
      driver = serve(config, state, "count-1")
      assert.equal(0, use(state, "testing").code)
      assert.equal(0, request(dir, { command = "quit" }).code)
      assert.equal(0, driver:wait(10).code)
   end)
end)
