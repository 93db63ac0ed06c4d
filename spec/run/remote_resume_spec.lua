-- A job over an address that is stopped or killed, and goes on.
local assert = require "luassert"
local h = require "spec.helper"
local web = require "spec.run.web"

local dir, server

setup(function()
   dir = h.tmpdir()
   local lines = {}
   for i = 1, 40000 do
      lines[i] = ("x"):rep(i * 7919 % 23)
   end
   h.write(dir, "n.txt", table.concat(lines, "\n") .. "\n")
   server = web(dir)
end)

before_each(function()
   server.requests()
end)

local function query(state, sql)
   return (h.sh(("sqlite3 -readonly %s/*/journal.db %s"):format(state, h.quote(sql))).out:gsub("\n$", ""))
end

local function ranges(method)
   local list = {}
   for _, request in ipairs(server.requests()) do
      if request.method == method then
         list[#list + 1] = request.range
      end
   end
   return list
end

local function expected()
   return h.run({ "run", "--quiet", "-m", "emit(#value, 1)", "-r", "count", "n.txt" }, { dir = dir }).out
end

describe("a job over an address", function()
   it("that a policy stopped, asks again when it goes on", function()
      local state = h.tmpdir()
      local result = h.run { "run", "--quiet", "--state-dir", state, "-m", "emit(#value, 1)", "-r", "count",
         server.url("heads/first=1/status=401/n.txt") }
      assert.are.equal(75, result.code, result.err)
      result = h.run { "resume", "--quiet", "--state-dir", state }
      assert.are.equal(0, result.code, result.err)
      assert.are.equal(expected(), result.out)
      assert.are.equal(2, #ranges("HEAD"))
   end)

   it("whose driver was killed, does not ask again for what it knows, nor for what it has", function()
      local state = h.tmpdir()
      local url = server.url("slow=20/etag=a/n.txt"):gsub("//", "//user:s@")
      local job = h.background { "run", "--quiet", "--workers", "1", "--split-size", "40K", "--state-dir", state,
         "-m", "emit(#value, 1)", "-r", "count", url }
      h.poll(20, function()
         return (tonumber(query(state, "select count(*) from task where task like 'map_%'")) or 0) >= 3
      end)
      job:kill("KILL")
      job:wait()
      local done = tonumber(query(state, "select count(*) from task where task like 'map_%'"))
      local maps = tonumber(query(state, "select maps from step"))
      server.requests()
      local result = h.run { "resume", "--quiet", "--state-dir", state }
      assert.are.equal(0, result.code, result.err)
      assert.are.equal(expected(), result.out)
      assert.is_true(done < maps, "the job was over before it was killed")
      assert.are.equal(maps, tonumber(query(state,
         "select count(*) from attempt where task like 'map_%' and outcome = 'committed'")))
      for _, request in ipairs(server.requests()) do
         assert.are.equal("GET", request.method)
         assert.are.equal("Basic dXNlcjpz", request.authorization)
      end
   end)
end)
