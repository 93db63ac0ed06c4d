--- Names on a command line → files.
local h = require "spec.helper"

local function probe(dir, ...)
   return h.run({ ... }, { binary = h.tool("input_probe"), dir = dir })
end

-- The paths that names expand to.
local function expand(dir, ...)
   local result = probe(dir, "expand", ...)
   assert.are.equal(0, result.code, result.out)
   local paths = {}
   for _, line in ipairs(h.lines(result.out)) do
      paths[#paths + 1] = line:match("^%d+\t(.*)$")
   end
   return paths
end

-- The message for names that do not expand.
local function refusal(dir, ...)
   local result = probe(dir, "expand", ...)
   assert.are.equal(1, result.code, result.out)
   return (assert(result.out:match("^error usage %-1 %-1: ([^\n]*)\n$"), result.out))
end

local function sh(dir, script)
   assert.are.equal(0, h.sh(script, { dir = dir }).code)
end

describe("names of inputs", function()
   local dir

   setup(function()
      dir = h.tmpdir()
      for _, name in ipairs { "a.txt", "b.txt", "B.txt", "c.log", "_hidden.txt", ".dot.txt", "odd[1].txt",
         "d/2/x", "d/2/_x", "d/1", "d/2-y", "d/_tmp/z", "d/.git/z", "d/10", "e/f/only", "@at" } do
         h.write(dir, name, "1234567")
      end
      sh(dir, "mkdir -p empty e/empty lists; mkfifo pipe; ln -s a.txt link; ln -s nowhere dangling; ln -s loop loop")
      sh(dir, "mkdir s; ln -s ../d s/dir; ln -s ../a.txt s/file; ln -s .. s/up")
   end)

   it("are files, in the order given, also twice", function()
      assert.are.same({ "b.txt", "a.txt", "b.txt" }, expand(dir, "b.txt", "a.txt", "b.txt"))
      assert.are.equal("7\ta.txt\n", probe(dir, "expand", "a.txt").out)
   end)

   it("may be hidden, odd, or symbolic links when given outright", function()
      assert.are.same({ "_hidden.txt", ".dot.txt", "odd[1].txt", "link", "./@at" },
         expand(dir, "_hidden.txt", ".dot.txt", "odd[1].txt", "link", "./@at"))
   end)

   it("are directories: their files bytewise by path, hidden and _ names passed over", function()
      assert.are.same({ "d/1", "d/10", "d/2-y", "d/2/x" }, expand(dir, "d"))
      assert.are.same({ "d/1", "d/10", "d/2-y", "d/2/x" }, expand(dir, "d/"))
      assert.are.same({ "e/f/only" }, expand(dir, "e"))
      assert.are.same({ "./1", "./10", "./2-y", "./2/x" }, expand(dir .. "/d", "."))
      assert.are.same({ "d/_tmp/z" }, expand(dir, "d/_tmp"))
   end)

   it("follow links to files inside a directory, but not links to directories", function()
      assert.are.same({ "s/file" }, expand(dir, "s"))
      assert.are.same({ "s/dir/1", "s/dir/10", "s/dir/2-y", "s/dir/2/x" }, expand(dir, "s/dir"))
   end)

   it("are patterns: matches bytewise in every locale, hidden and _ names passed over", function()
      assert.are.same({ "B.txt", "a.txt", "b.txt", "odd[1].txt" }, expand(dir, "*.txt"))
      assert.are.same({ "_hidden.txt" }, expand(dir, "_*.txt"))
      assert.are.same({ ".dot.txt" }, expand(dir, ".d*.txt"))
      assert.are.same({ "a.txt", "b.txt" }, expand(dir, "[ab].txt"))
      assert.are.same({ "d/10" }, expand(dir, "d/1?"))
      assert.are.same({ "d/2/x", "e/f/only" }, expand(dir, "[de]/[2f]/*"))
      assert.are.same({ "d/1", "d/10", "d/2-y", "d/2/x" }, expand(dir, "d/*"))
      assert.are.same({ "e/f/only" }, expand(dir, "e/*"))
      assert.are.same({ dir .. "/a.txt" }, expand("/", dir .. "/a.t*"))
   end)

   it("are lists: comments and blank lines passed over, patterns and directories too", function()
      h.write(dir, "lists/1", "# a list\n\nb.txt\r\n  \ne\nd/1*\na.txt")
      assert.are.same({ "c.log", "b.txt", "e/f/only", "d/1", "d/10", "a.txt" }, expand(dir, "c.log", "@lists/1"))
   end)

   it("that are not there are refused with the nearest name", function()
      assert.are.equal("no such file: a.tx; is it a.txt?", refusal(dir, "a.tx"))
      assert.are.equal("no such file: e/f/onyl; is it e/f/only?", refusal(dir, "b.txt", "e/f/onyl"))
      assert.are.equal("no such file: quite/else; there is no directory quite", refusal(dir, "quite/else"))
      assert.are.equal("no such file: lsits/1/2; is it lists/1/2?", refusal(dir, "lsits/1/2"))
      assert.are.equal("no such file: something_else; check its name", refusal(dir, "something_else"))
      assert.are.equal("cannot read a.txt/x: Not a directory", refusal(dir, "a.txt/x"))
      assert.are.equal("the name of an input is empty", refusal(dir, ""))
   end)

   it("that lead nowhere or in a circle are refused", function()
      assert.are.equal("dangling is a symbolic link to nowhere, which is not there", refusal(dir, "dangling"))
      assert.are.equal("cannot read loop: Too many levels of symbolic links", refusal(dir, "loop"))
   end)

   it("that match nothing, or hold nothing, are refused", function()
      assert.are.equal("no file matches *.csv; check the pattern (names that begin with . or _ must be named with it)",
         refusal(dir, "*.csv"))
      assert.matches("^no file matches none/%*;", refusal(dir, "none/*"))
      assert.are.equal("the directory empty holds no input file (names that begin with . or _ are passed over)",
         refusal(dir, "empty"))
      assert.are.equal("the directories that em*y matches hold no input file", refusal(dir, "em*y"))
   end)

   it("of pipes and devices are refused, and standard input is told of", function()
      assert.are.equal("pipe is a named pipe, not a regular file; give its bytes on standard input and name - as " ..
         "the input, or copy them to a file", refusal(dir, "pipe"))
      assert.matches("^/dev/null is a device, not a regular file;", refusal(dir, "/dev/null"))
   end)

   it("in a list are refused with the list's line", function()
      h.write(dir, "lists/2", "a.txt\n@lists/1\n")
      h.write(dir, "lists/3", "a.txt\n\nnot_here\n")
      h.write(dir, "lists/4", "# nothing\n")
      h.write(dir, "lists/5", "a\0b\n")
      assert.are.equal("lists/2:2: @lists/1 is a list inside a list; name its files here, or ./@lists/1 if that is " ..
         "a file's name", refusal(dir, "@lists/2"))
      assert.are.equal("lists/3:3: no such file: not_here; check its name", refusal(dir, "@lists/3"))
      assert.are.equal("the list lists/4 names no file", refusal(dir, "@lists/4"))
      assert.matches("^lists/5:1: there is a NUL byte", refusal(dir, "@lists/5"))
      assert.are.equal("no such file: lists/6x; check its name", refusal(dir, "@lists/6x"))
      assert.are.equal("lists is a directory, not a list of names; leave the @ out", refusal(dir, "@lists"))
      assert.are.equal("@ needs the name of a list behind it", refusal(dir, "@"))
   end)

   it("that may not be read are refused with the reason", function()
      local locked = h.tmpdir()
      sh(locked, "chmod 755 .. .; mkdir shut; echo x >shut/file; echo x >file; chmod 000 shut file")
      local as_nobody = h.sh("id -u").out == "0\n" and
         "setpriv --reuid=65534 --regid=65534 --clear-groups " or ""
      local function refused(name)
         return h.sh(as_nobody .. h.quote(h.tool("input_probe")) .. " expand " .. h.quote(name), { dir = locked }).out
      end
      assert.are.equal("error usage -1 -1: cannot read file: Permission denied; check its permissions\n",
         refused("file"))
      assert.are.equal("error usage -1 -1: cannot read the directory shut: Permission denied\n", refused("shut"))
      assert.are.equal("error usage -1 -1: cannot read the directory shut: Permission denied\n", refused("shut/*"))
      assert.are.equal("error usage -1 -1: cannot read the list file: Permission denied\n", refused("@file"))
      sh(locked, "chmod 755 shut file")
   end)
end)

describe("standard input", function()
   it("is spooled byte for byte", function()
      local dir = h.tmpdir()
      local bytes = ("\0\1\2line\r\n"):rep(100000)
      local result = h.run({ "spool", "spooled" }, { binary = h.tool("input_probe"), dir = dir, stdin = bytes })
      assert.are.equal(#bytes .. "\n", result.out)
      assert.are.equal(bytes, h.read(dir .. "/spooled"))
   end)

   it("that cannot be spooled leaves no file", function()
      local dir = h.tmpdir()
      assert.matches("^error task_crash", h.run({ "spool", dir .. "/none/x" }, { binary = h.tool("input_probe") }).out)
      local full = h.sh("ulimit -f 1; trap '' XFSZ; head -c 100000 /dev/zero | " .. h.quote(h.tool("input_probe")) ..
         " spool file", { dir = dir })
      assert.matches("^error disk_full", full.out)
      assert.is_false(h.exists(dir .. "/file"))
   end)
end)
