-- Inputs behind http://: real lmr, and a real server (spec/tools/http_server.c) that does all that servers do.
local assert = require "luassert"
local cjson = require "cjson"
local h = require "spec.helper"
local web = require "spec.run.web"

local COUNT = { "-m", "emit(#value, 1)", "-r", "count" }
local dir, server

local function lmr(...)
   local args = { "run", "--state-dir", h.tmpdir(), ... }
   local result = h.run(args, { dir = dir })
   result.state = args[3]
   return result
end

local function output(...)
   local result = lmr("--quiet", ...)
   assert.are.equal("", result.err)
   assert.are.equal(0, result.code)
   return result.out
end

-- Rows of the job's journal, each a table column → value.
local function journal(result, query)
   local found = h.sh(("sqlite3 -json %s/*/journal.db %s"):format(result.state, h.quote(query)))
   assert.are.equal(0, found.code, found.err)
   return found.out == "" and {} or cjson.decode(found.out)
end

local function count(requests, method)
   local n = 0
   for _, request in ipairs(requests) do
      n = n + (request.method == method and 1 or 0)
   end
   return n
end

-- COUNT, then these arguments.
local function counting(...)
   return table.unpack(table.move({ ... }, 1, select("#", ...), #COUNT + 1, { table.unpack(COUNT) }))
end

setup(function()
   dir = h.tmpdir()
   local lines = {}
   for i = 1, 40000 do
      lines[i] = ("x"):rep(i * 7919 % 23)
   end
   h.write(dir, "n.txt", table.concat(lines, "\n") .. "\n")
   local rows, objects = { "id,word" }, {}
   for i = 1, 5000 do
      rows[i + 1] = i .. ',"w, ' .. i % 7 .. '"'
      objects[i] = ('{"id":%d,"word":"w%d"}'):format(i, i % 7)
   end
   h.write(dir, "rows.csv", table.concat(rows, "\n") .. "\n")
   h.write(dir, "objects.jsonl", table.concat(objects, "\n") .. "\n")
   h.write(dir, "small.txt", "one\ntwo\n")
   h.write(dir, "empty.txt", "")
   server = web(dir)
end)

before_each(function()
   server.requests()
end)

describe("an input behind a server", function()
   it("is cut into ranges, one request a split, and gives what awk counts", function()
      local program = [[{ n[length($0)]++ } END { for (k in n) print k "\t" n[k] }]]
      local expected = h.sh(("LC_ALL=C awk '%s' n.txt | sort -n"):format(program), { dir = dir }).out
      local result = lmr(counting("--split-size", "50K", server.url("n.txt")))
      assert.are.equal(0, result.code, result.err)
      assert.are.equal(expected, result.out)
      local splits = journal(result, "select * from split order by first")
      local requests = server.requests()
      assert.is_true(#splits >= 9)
      assert.are.equal(1, count(requests, "HEAD"))
      assert.are.equal(#splits, count(requests, "GET"))
      local sent = 0
      for _, request in ipairs(requests) do
         sent = sent + request.sent
      end
      -- A split reads the byte before it, and at most 64 KiB behind it.
      assert.is_true(sent <= #h.read(dir .. "/n.txt") + #splits * (64 * 1024 + 1))
      assert.are.equal(#h.read(dir .. "/n.txt"), splits[#splits].last)
   end)

   it("gives the same pairs as the file in every format", function()
      local cases = { { '"text"', "n.txt" }, { '"csv"', "rows.csv" }, { '"jsonl"', "objects.jsonl" },
         { '"whole"', "n.txt" },
         { '{ format = "csv", multiline = true }', "rows.csv" }, { '{ format = "fixed", record_size = 3 }', "n.txt" },
         { '{ format = "csv", header = false }', "rows.csv" } }
      for _, case in ipairs(cases) do
         local job = h.write(dir, "show.lua", ([[
local mr = require "mr"
return mr.job { input = %s, output = "jsonl", reducers = 0, map = function(key, value, emit) emit(key, value) end }
]]):format(case[1]))
         local expected = output(job, "--split-size", "9000", case[2])
         local found = output(job, "--split-size", "9000", server.url(case[2]))
         assert.are.equal(expected, (found:gsub("http://127%.0%.0%.1:%d+/", "")), case[1])
      end
   end)

   it("is decompressed by the ending of its name, whatever query follows it", function()
      local packers = { gz = "gzip -c", zst = "zstd -q -c", lz4 = "lz4 -q -c", bz2 = "bzip2 -c", xz = "xz -c" }
      local expected = output(counting("n.txt"))
      for ending, pack in pairs(packers) do
         h.sh(("%s <n.txt >n.txt.%s"):format(pack, ending), { dir = dir })
         server.requests()
         local name = "n.txt." .. ending
         assert.are.equal(expected, output(counting("--split-size", "10K", server.url(name) .. "?v=1.txt#x")), ending)
         assert.are.equal(1, count(server.requests(), "GET"), ending)
         assert.are.equal(expected, output(counting(server.url("norange/nosize/" .. name))), ending)
      end
      -- How a server may describe such a file; its bytes are what they are.
      assert.are.equal(expected, output(counting(server.url("coding=gzip/n.txt.gz"))))
   end)

   local function same(manner, gets)
      local expected = output(counting("n.txt"))
      server.requests()
      assert.are.equal(expected, output(counting("--split-size", "200K", server.url(manner .. "/n.txt"))), manner)
      local requests = server.requests()
      assert.are.equal(gets, count(requests, "GET"), manner)
      return requests
   end

   it("is one split where the server has no ranges, or does not tell the size", function()
      same("norange", 2)
      same("norange/nosize", 2)
   end)

   it("is cut where ranges are not promised but work, or HEAD is refused", function()
      same("silent", 1 + 3)
      same("nosize", 1 + 3)
      local requests = same("nohead", 1 + 3)
      assert.are.equal(405, requests[1].status)
      assert.are.equal("bytes=0-0", requests[2].range)
   end)

   it("gives each byte once where ranges are promised and ignored", function()
      same("ignore", 3)
   end)

   it("is found behind redirects", function()
      local requests = same("moved=5", 3 * 6)
      assert.are.equal(6, count(requests, "HEAD"))
   end)

   it("is asked for more where a record ends far behind its split", function()
      h.write(dir, "long.txt", ("a\n"):rep(1000) .. ("b"):rep(500000) .. "\n" .. ("c\n"):rep(1000))
      local expected = output(counting("long.txt"))
      server.requests()
      assert.are.equal(expected, output(counting("--split-size", "2000", server.url("long.txt"))))
      local requests, splits = server.requests(), math.ceil(504001 / 2000)
      -- The split in which the long line begins makes two requests; those that lie within it read to its end, too.
      assert.is_true(count(requests, "GET") > splits)
   end)

   it("may come slowly, as long as it comes", function()
      assert.are.equal("2\t1\n", output("--set", "limits.progress_timeout_seconds=4", "-m", "emit(2, 1)", "-r", "count",
         "--input", "whole", server.url("slow=100/n.txt")))
   end)

   it("stands among files, in lists and in jobs, in the order given", function()
      h.write(dir, "names.list", "small.txt\n" .. server.url("small.txt") .. "\n")
      local job = h.write(dir, "listed.lua", ([[
local mr = require "mr"
return mr.job { reducers = 0, input_files = { { path = %q, tag = "far" }, { path = "small.txt", tag = "near" } },
   map = function(_, value, emit) emit(mr.task().record.tag or mr.task().tag, value) end }
]]):format(server.url("small.txt")):gsub("mr.task%(%).record.tag or ", ""))
      assert.are.equal("one\ntwo\none\ntwo\none\ntwo\n",
         output("-m", "emit(value)", "--reducers", "0", "@names.list", server.url("nosize/small.txt")))
      assert.are.equal("far\tone\nfar\ttwo\nnear\tone\nnear\ttwo\n", output(job))
   end)

   it("may be empty", function()
      assert.are.equal("", output(counting(server.url("empty.txt"))))
      assert.are.equal("0\t1\n", output(counting("--input", "whole", server.url("empty.txt"))))
      assert.are.equal("", output(counting(server.url("norange/nosize/empty.txt"))))
   end)

   it("is sampled for a total order", function()
      local job = h.write(dir, "sort.lua", [[
local mr = require "mr"
return mr.job { total_order = true, reducers = 4, map = function(_, value, emit) emit(value) end,
   reduce = function(key, values, emit) for _ in values do emit(key) end end }
]])
      local expected = h.sh("LC_ALL=C sort n.txt", { dir = dir }).out
      for _, manner in ipairs { "", "norange/", "norange/nosize/" } do
         assert.are.equal(expected, output(job, "--split-size", "100K", server.url(manner .. "n.txt")), manner)
      end
   end)

   it("is read by mr.run too", function()
      local script = h.write(dir, "run.lua", ([[
local mr = require "mr"
local job = mr.job { map = function(_, line, emit) emit(line, 1) end, reduce = mr.sum, input_files = { %q } }
for _, pair in ipairs((mr.run(job))) do print(pair[1], pair[2]) end
]]):format(server.url("small.txt")))
      local result = h.run({ "lua", script })
      assert.are.equal("one\t1\ntwo\t1\n", result.out, result.err)
   end)

   it("has its size asked for by a dry run", function()
      local result = lmr("--dry-run", "--json", counting(server.url("n.txt"), server.url("norange/nosize/n.txt")))
      local plan = cjson.decode(result.out)
      assert.are.equal(#h.read(dir .. "/n.txt"), plan.inputs[1].size)
      assert.are.equal(cjson.null, plan.inputs[2].size)
      assert.are.equal(plan.inputs[1].size, plan.bytes)
      local text = lmr("--dry-run", counting(server.url("norange/nosize/n.txt"))).out
      assert.is_truthy(text:find("?  http://127.0.0.1", 1, true), text)
   end)

   it("is asked for by one task for 64 addresses", function()
      local names = {}
      for i = 1, 130 do
         names[i] = server.url("small.txt?" .. i)
      end
      local result = lmr("--quiet", "-m", "emit(value, 1)", "-r", "count", table.unpack(names))
      assert.are.equal("one\t130\ntwo\t130\n", result.out, result.err)
      assert.are.equal(3, #journal(result, "select * from task where task like 'remote_%'"))
      assert.are.equal(130, count(server.requests(), "HEAD"))
   end)
end)

describe("a failing server", function()
   -- How the newest failed attempt ended.
   local function failure(target, option)
      local result = lmr("--set", "retry.max_retries=0", option or "--seed=0", counting(target))
      local rows = journal(result, "select * from attempt where outcome <> 'committed' and outcome <> 'ended'")
      assert.is_true(result.code == 1 or result.code == 75, result.err) -- a profile may stop the job, to be resumed
      assert.are.equal("", result.out)
      return rows[#rows], result
   end

   local function fails(manner, message, details, option)
      local row, result = failure(server.url(manner .. "/n.txt"), option)
      local plain = result.err:gsub("127%.0%.0%.1:%d+", "SERVER")
      assert.are.equal("network_failure", row.outcome, result.err)
      assert.is_truthy(row.message:find(message, 1, true), row.message)
      assert.is_truthy(plain:find("http://SERVER/" .. manner .. "/n.txt: ", 1, true), plain)
      assert.are.equal(server.url(manner .. "/n.txt"), row.file)
      assert.are.equal(details .. "url\t" .. row.file .. "\n", row.details)
      assert.are.equal(cjson.null, row.record, "no record is to blame")
      return row
   end

   local quick = "--set=limits.progress_timeout_seconds=2"

   it("that answers with a status", function()
      fails("status=401", "the server answers 401: it wants to know who asks; give user and password in the address " ..
         "(https://user:password@host/…) or in ~/.netrc", "status\t401\n")
      fails("status=403", "the server answers 403: it does not give this file to who asks; check the user and password",
         "status\t403\n")
      fails("status=404", "the server answers 404: it has no such file; check the address", "status\t404\n")
      fails("status=500", "the server answers 500: it fails; its log should say why", "status\t500\n")
      fails("status=503/retry=7", "the server answers 503, and asks to wait 7.00 s: it is busy", "status\t503\n")
      fails("status=418", "the server answers 418: it does not give this file", "status\t418\n")
   end)

   it("that does so when it is asked for the size", function()
      assert.are.equal("remote_0", fails("all/status=401", "the server answers 401", "status\t401\n").task)
      assert.are.equal("remote_0", fails("all/status=503", "the server answers 503", "status\t503\n").task)
      assert.are.equal("remote_0", fails("all/hangup", "Empty reply from server", "curl\tCURLE_GOT_NOTHING\n").task)
   end)

   it("that is not there", function()
      local row = failure("http://127.0.0.1:9/n.txt")
      assert.are.equal("network_failure", row.outcome)
      assert.are.equal("curl\tCURLE_COULDNT_CONNECT\nurl\thttp://127.0.0.1:9/n.txt\n", row.details)
      assert.is_truthy(row.message:find("is the server up, and its port right?", 1, true), row.message)
   end)

   it("that resets the connection", function()
      fails("reset", "Connection reset by peer", "status\t200\ncurl\tCURLE_RECV_ERROR\n")
   end)

   it("that stalls, in the middle or before the first byte", function()
      fails("stall", "the server sent nothing for 1.00 s", "status\t200\n", quick)
      fails("silence", "the server sent nothing for 1.00 s", "", quick)
      fails("all/silence", "the server sent nothing for 1.00 s", "", quick)
   end)

   it("that ends short of what it promised", function()
      local size = #h.read(dir .. "/n.txt")
      fails("short", ("the server ended after byte %d of %d, short of what it promised"):format(size // 2, size),
         "status\t200\ncurl\tCURLE_PARTIAL_FILE\n")
      fails("norange/nosize/cut", ("the server ended after byte %d, in the middle of its answer"):format(size // 2),
         "status\t200\ncurl\tCURLE_PARTIAL_FILE\n")
   end)

   it("that closes without an answer, or speaks something else", function()
      fails("hangup", "Empty reply from server", "curl\tCURLE_GOT_NOTHING\n")
      fails("nonsense", "only http and https are spoken here", "curl\tCURLE_UNSUPPORTED_PROTOCOL\n")
   end)

   it("that sends another range", function()
      local row = failure(server.url("wrong/n.txt"), "--split-size=200K")
      assert.is_truthy(row.message:find("its ranges do not work", 1, true), row.message)
   end)

   it("that does not speak TLS", function()
      local row = failure((server.url("n.txt"):gsub("^http", "https")))
      assert.are.equal("network_failure", row.outcome)
      assert.is_truthy(row.message:find("its TLS does not work; is it http://?", 1, true), row.message)
   end)

   it("that leads in a circle, or elsewhere", function()
      fails("moved=6", "Maximum (5) redirects followed", "status\t302\ncurl\tCURLE_TOO_MANY_REDIRECTS\n")
      fails("elsewhere=ftp:~~host", "only http and https are spoken here",
         "status\t302\ncurl\tCURLE_UNSUPPORTED_PROTOCOL\n")
   end)

   it("does not keep an attempt beyond its deadline", function()
      local row = failure(server.url("stall/n.txt"), "--set=limits.task_timeout_seconds=0.5")
      assert.are.equal("timeout", row.outcome)
      assert.is_truthy(row.message:find("limits.task_timeout_seconds", 1, true), row.message)
      assert.are.equal(cjson.null, row.signal, "the wait was not interrupted, its worker was killed")
   end)

   it("does not keep a job that is to end", function()
      local job = h.background({ "run", "--quiet", counting(server.url("stall/n.txt")) })
      h.poll(10, function()
         return count(server.requests(), "HEAD") > 0
      end)
      job:kill("INT")
      assert.are.equal(130, job:wait(10).code)
   end)
end)

describe("a server that fails at first", function()
   local function recovers(manner, failures, option)
      local expected = output(counting("n.txt"))
      server.requests()
      local result = lmr("--set", "retry.base_delay_seconds=0.05", option or "--seed=0",
         counting(server.url(manner .. "/n.txt")))
      assert.are.equal(0, result.code, result.err)
      assert.are.equal(expected, result.out)
      local rows = journal(result, "select * from attempt where outcome = 'network_failure' order by attempt")
      assert.are.equal(failures, #rows, manner)
      for _, row in ipairs(rows) do
         assert.are.equal("retry", row.verdict)
      end
      return server.requests(), result
   end

   it("is asked again", function()
      recovers("first=2/status=503", 2)
      recovers("first=2/all/status=500", 2 + 2)
      recovers("first=2/reset", 2)
      recovers("first=2/short", 2)
      recovers("first=1/hangup", 1)
      recovers("first=1/stall", 1, "--set=limits.progress_timeout_seconds=2")
   end)

   it("is not asked again before the time that it says", function()
      local requests = recovers("first=1/status=503/retry=1", 1)
      assert.are.equal(503, requests[2].status)
      assert.is_true(requests[3].time - requests[2].time >= 1, requests[3].time - requests[2].time)
      local at = os.time() + 4
      recovers("first=1/status=503/retry=" .. os.date("!%a,_%d_%b_%Y_%H:%M:%S_GMT", at), 1)
      assert.is_true(os.time() >= at)
   end)

   it("is asked for the rest alone when only our own slowness was to blame", function()
      h.write(dir, "slow.lua", ([[
local mr = require "mr"
local slept = false
return mr.job { input_files = { %q }, map = function(_, value, emit)
   if not slept then mr.sleep(0.7) end
   slept = true
   emit(#value, 1)
end, reduce = mr.count }
]]):format(server.url("first=1/reset/n.txt")))
      assert.are.equal(output(counting("n.txt")), output("--set", "limits.progress_timeout_seconds=3", "slow.lua"))
      local requests = server.requests()
      assert.are.equal(2, count(requests, "GET"))
      assert.is_truthy(requests[3].range:find("^bytes=%d+%-%d+$"), requests[3].range)
   end)
end)

describe("a file that changes on its server", function()
   local function changed(manner, ...)
      local result = lmr("--set", "retry.max_retries=0", "--split-size", "100K",
         counting(server.url(manner .. "/n.txt")))
      assert.are.equal(1, result.code, result.err)
      local rows = journal(result, "select * from attempt where outcome <> 'committed' and outcome <> 'ended'")
      assert.are.equal("data_corruption", rows[1].outcome)
      for _, text in ipairs { "changed since the plan: its ", ... } do
         assert.is_truthy(rows[1].message:find(text, 1, true), rows[1].message)
      end
   end

   it("is found out by its size", function()
      local n = #h.read(dir .. "/n.txt")
      changed("grown", ("size was %d and is %d now; run the job again"):format(n, n + 1))
   end)

   it("is found out by its ETag, else by its date", function()
      changed("etag=_a_/newtag=b", "ETag was a and is b now")
      changed("date=Mon,_1/newdate=Tue,_2", "date (Last-Modified) was Mon, 1 and is Tue, 2 now")
   end)

   it("is the same when only the strength of its ETag differs, or its date beside an ETag", function()
      local expected = output(counting("n.txt"))
      for _, manner in ipairs { "etag=W~a/newtag=a", "etag=a/newtag=w~a", "etag=a/date=Mon/newdate=Tue" } do
         assert.are.equal(expected, output(counting(server.url(manner .. "/n.txt"))), manner)
      end
   end)
end)

describe("a user and password", function()
   local secret = "s%40crets"
   local allowed = "auth=dXNlcjpzQGNyZXRz/n.txt" -- user:s@crets

   local function address(user, target)
      return (server.url(target):gsub("//", "//" .. user:gsub("%%", "%%%%") .. "@", 1))
   end

   -- Nothing that lmr prints or leaves shows them, but for the journal, which nobody else may read.
   local function unseen(result, out)
      assert.is_nil((result.out .. result.err):find("s%40crets", 1, true))
      assert.is_nil((result.out .. result.err):find("s@crets", 1, true))
      local found = h.sh(("grep -rlaF -e s%%40crets -e s@crets %s %s | grep -v /journal.db"):format(
         h.quote(result.state), h.quote(out)))
      assert.are.equal("", found.out, found.err)
      assert.are.equal("", h.sh("find " .. h.quote(result.state) .. " -mindepth 1 -maxdepth 1 -type d -perm /077").out)
   end

   it("are taken from the address, and shown nowhere", function()
      local out = h.tmpdir() .. "/out"
      local result = lmr("--output", out, "--split-size", "100K", counting("--input", "whole",
         address("user:" .. secret, allowed)))
      assert.are.equal(0, result.code, result.err)
      unseen(result, out)
      local keys = output("-m", "emit(key)", "--reducers", "0", "--input", "whole",
         address("user:" .. secret, allowed))
      assert.are.equal(address("user:***", allowed) .. "\n", keys)
      local rows = journal(result, "select path from split")
      assert.are.equal(address("user:***", allowed), rows[1].path)
   end)

   it("are shown nowhere when they do not do", function()
      local result = lmr("--set", "retry.max_retries=1", "--set", "retry.base_delay_seconds=0",
         counting(address("nobody:" .. secret, allowed)))
      assert.is_true(result.code == 1 or result.code == 75, result.err)
      unseen(lmr(counting((address("user:" .. secret, allowed):gsub("^http", "ftp")))), dir)
      unseen(result, result.state)
      unseen(lmr("--dry-run", counting(address("user:" .. secret, allowed))), dir .. "/n.txt")
      unseen(lmr(counting((address("user:" .. secret, allowed):gsub("^http", "ftp")))), dir .. "/n.txt")
      unseen(lmr(counting(address("user:" .. secret, "a b"))), dir .. "/n.txt")
   end)

   it("are taken from ~/.netrc", function()
      local home = h.tmpdir()
      h.write(home, ".netrc", "machine 127.0.0.1 login user password s@crets\n")
      for _, url in ipairs { server.url(allowed), address("user", allowed) } do
         local result = h.run({ "run", "--quiet", counting(url) }, { dir = dir, env = { HOME = home } })
         assert.are.equal(0, result.code, result.err)
      end
      assert.are.equal(0, lmr(counting(address("user:" .. secret, allowed))).code)
   end)

   it("are not sent to where a redirect leads", function()
      local other = web(dir)
      local target = "elsewhere=" .. other.url("small.txt"):gsub("/", "~") .. "/n.txt"
      assert.are.equal("3\t2\n", output(counting(address("user:" .. secret, target))))
      for _, request in ipairs(other.requests()) do
         assert.are.equal("", request.authorization)
      end
      assert.are.equal("Basic dXNlcjpzQGNyZXRz", server.requests()[1].authorization)
   end)
end)

describe("an address that cannot be an input", function()
   local function refused(message, name, ...)
      local result = lmr(counting(name, ...))
      assert.are.equal(2, result.code, result.err)
      assert.is_truthy(result.err:find(message, 1, true), result.err)
   end

   it("has another scheme, no host, or a blank in it", function()
      refused("an input begins with file://, and inputs are files or addresses that begin with http:// or https://",
         "file:///etc/hosts")
      refused("an input begins with s3://", "s3://bucket/*.gz")
      refused("http://… is an address without a host", "http:///n.txt")
      refused("http://… is an address without a host", "http://user@:80/n.txt")
      refused("holds a blank or control character; write %20 for a blank", server.url("a b.txt"))
      local list = h.write(dir, "bad.list", "small.txt\nhttps://\n")
      refused(list .. ":2: https://… is an address without a host", "@" .. list)
   end)

   it("is compressed on its way, though nobody asked", function()
      refused("the server sends it compressed (Content-Encoding: br)", server.url("coding=br/n.txt"))
   end)

   it("belongs to a reader in Lua", function()
      local job = h.write(dir, "reader.lua", [[
local mr = require "mr"
return mr.job { input = { reader = { open = io.open, next = function(f) return f:read("l") end } },
   map = function(key, _, emit) emit(key, 1) end }
]])
      local result = lmr(job, server.url("small.txt"))
      assert.are.equal(2, result.code)
      local message = "is an address, and a reader in Lua opens files: fetch it first"
      assert.is_truthy(result.err:find(message, 1, true), result.err)
   end)
end)
