local h = require "spec.helper"

local function probe(...)
   return h.run({ ... }, { binary = h.tool("base_probe") })
end

local function lines(...)
   local result = probe(...)
   assert.are.equal(0, result.code)
   return h.lines(result.out)
end

describe("sizes", function()
   it("are read in every spelling and printed with three digits", function()
      assert.are.same({
         "4096 4 KB", "67108864 64 MB", "1610612736 1.5 GB", "10240 10 KB", "1024 1 KB", "5 5 B", "1331 1.3 KB",
      }, lines("size", "4096", "64M", "1.5G", "10KiB", "1kb", "5B", "1.3K"))
   end)

   it("reach 2^63 - 1 exactly", function()
      assert.are.same({ "9223372036854775807 8 EB", "no", "9223370937343148032 8 EB", "no", "no" },
         lines("size", "9223372036854775807", "9223372036854775808", "8388607T", "8388608T", "99999999999999999999"))
   end)

   it("are refused when they are none", function()
      for _, text in ipairs { "", "x", "-1", "1.5", "1.", ".5K", "1e3", "1 K", "K", "1KK", "0x10", "1Ki", "+1" } do
         assert.are.same({ "no" }, lines("size", text), text)
      end
   end)

   it("never print as 1024 of a unit", function()
      assert.are.same({ "1023 1023 B", "1048575 1 MB", "1047552 1023 KB" }, lines("size", "1023", "1048575", "1023K"))
   end)
end)

describe("durations", function()
   it("are read with a unit and printed for a reader", function()
      assert.are.same({ "1.5 1.50 s", "0.2 0.20 s", "604800 168 h 00 m", "125 2 m 05 s", "3720 1 h 02 m", "30 30.0 s" },
         lines("duration", "1.5s", "200ms", "7d", "125", "1.0333333333333333h", "0.5m"))
   end)

   it("carry over when they are rounded", function()
      assert.are.same({ "59.97 1 m 00 s", "3599.9 1 h 00 m", "9.999 10.0 s" },
         lines("duration", "59.97", "3599.9", "9.999"))
   end)

   it("are refused when they are none", function()
      for _, text in ipairs { "", "s", "-1s", "1 s", "1w", "nan", "inf", "1e3", "1sec" } do
         assert.are.same({ "no" }, lines("duration", text), text)
      end
   end)
end)

it("counts are printed in groups of three", function()
   assert.are.same({ "0", "999", "1,000", "12,345,678", "18,446,744,073,709,551,615" },
      lines("count", "0", "999", "1000", "12345678", "18446744073709551615"))
end)

describe("the nearest name", function()
   local function nearest(name)
      return lines("nearest", name, "reduce", "reducers", "max_retries", "retry")[1]
   end

   it("is found for a slip of the hand", function()
      assert.are.equal("reducers", nearest("reducrs"))
      assert.are.equal("retry", nearest("rerty"))
      assert.are.equal("max_retries", nearest("max_retires"))
      assert.are.equal("max_retries", nearest("maxretries"))
   end)

   it("is none for another word", function()
      assert.are.equal("(none)", nearest("speculation"))
      assert.are.equal("(none)", nearest("x"))
      assert.are.equal("(none)", nearest(("reduce"):rep(20)))
   end)
end)

describe("files", function()
   it("are written whole, and leave no temporary name", function()
      local dir = h.tmpdir()
      assert.are.equal(0, probe("mkdir", dir .. "/a//b/c/").code)
      assert.are.equal(0, probe("mkdir", dir .. "/a/b/c").code)
      assert.are.equal(0, probe("write", dir .. "/a/b/c/file", "first").code)
      assert.are.equal(0, probe("write", dir .. "/a/b/c/file", "second").code)
      assert.are.equal("second", h.read(dir .. "/a/b/c/file"))
      assert.are.same({ "file" }, h.ls(dir .. "/a/b/c"))
   end)

   it("are read up to a limit and in ranges", function()
      local path = h.write(h.tmpdir(), "file", "0123456789")
      assert.are.equal("0123456789", probe("read", path).out)
      assert.are.equal("0123456789", probe("read", path, "10").out)
      local result = probe("read", path, "9")
      assert.are.equal(1, result.code)
      assert.are.equal("usage: " .. path .. " is longer than 9 bytes\n", result.out)
      assert.are.equal("345", probe("range", path, "3", "3").out)
      assert.are.equal("89", probe("range", path, "8", "5").out)
      assert.are.equal("", probe("range", path, "100", "5").out)
      assert.matches("^task_crash: cannot read", probe("range", path, "9223372036854775807", "5").out)
   end)

   it("say what the system said", function()
      local dir = h.tmpdir()
      assert.are.equal("task_crash: cannot open " .. dir .. "/none: No such file or directory\n",
         probe("read", dir .. "/none").out)
      assert.are.equal("task_crash: cannot read " .. dir .. ": Is a directory\n", probe("read", dir).out)
      h.write(dir, "file", "")
      assert.are.equal("task_crash: cannot make directory " .. dir .. "/file: Not a directory\n",
         probe("mkdir", dir .. "/file").out)
      assert.are.equal("disk_full: cannot write /dev/full.tmp: No space left on device\n",
         h.sh("ln -s /dev/full x.tmp-$$ && exec " .. h.quote(h.tool("base_probe")) .. " write x text",
            { dir = dir }).out:gsub("x%.tmp%-%d+", "/dev/full.tmp"))
   end)

   it("go with their tree, but not what a symlink points to", function()
      local dir = h.tmpdir()
      h.write(dir, "tree/a/b/file", "")
      h.write(dir, "tree/.hidden", "")
      h.write(dir, "kept/file", "")
      assert.are.equal(0, h.sh("ln -s ../kept tree/link && ln -s kept link", { dir = dir }).code)
      assert.are.equal(0, probe("remove", dir .. "/tree").code)
      assert.are.equal(0, probe("remove", dir .. "/tree").code)
      assert.are.equal(0, probe("remove", dir .. "/link").code)
      assert.are.same({ "kept" }, h.ls(dir))
      assert.are.same({ "file" }, h.ls(dir .. "/kept"))
   end)

   it("have the free space of the nearest directory that is there", function()
      local dir = h.tmpdir()
      local free = tonumber(probe("space", dir .. "/not/there/yet").out)
      local known = tonumber(h.sh("df --output=avail -B1 . | tail -n 1", { dir = dir }).out)
      assert.is_true(math.abs(free - known) < 256 * 1024 * 1024)
      assert.is_true(tonumber(h.sh(h.quote(h.tool("base_probe")) .. " space not/there", { dir = dir }).out) > 0)
   end)
end)

describe("cores", function()
   it("follow the affinity", function()
      assert.are.equal("1\n", h.sh("taskset -c 0 " .. h.quote(h.tool("base_probe")) .. " cores").out)
   end)

   it("are no more than the system has", function()
      assert.is_true(tonumber(probe("cores").out) <= tonumber(h.sh("nproc").out))
   end)
end)

it("messages say who speaks, and control characters do not reach the terminal", function()
   assert.are.equal(table.concat({
      "lmr: a ?[31m text", "lmr: warning: a ?[31m text", "lmr: a ?[31m text",
      "lmr: it broke", "  at in.txt, byte 12, record 3", "  stack traceback:", "    job.lua:7: in map",
      "lmr: cannot write out.txt: No space left on device", "",
   }, "\n"), probe("log", "a \27[31m text").err)
end)

it("the Lua files of the host are compiled in as they are", function()
   local count = 0
   for _, line in ipairs(lines("embedded")) do
      local name, size, found = line:match("^(%S+) (%d+) (%d)$")
      assert.are.equal(#h.read(h.root .. "/" .. name), tonumber(size))
      assert.are.equal("1", found)
      count = count + 1
   end
   assert.are.equal(tonumber(h.sh("ls scripts/*.lua profiles/*.lua | wc -l").out), count)
   local profile = h.read(h.root .. "/profiles/production.lua")
   assert.are.equal(profile, probe("embedded", "profiles/production.lua").out:sub(-#profile))
   assert.are.equal(1, probe("embedded", "profiles/none.lua").code)
end)
