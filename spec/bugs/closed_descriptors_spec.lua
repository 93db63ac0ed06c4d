-- A program may be started with standard input, output or error closed; the first file opened then got that number, and
-- libuv ended the process.
local assert = require "luassert"
local h = require "spec.helper"

local JOB = [[-m 'emit(value)' "$D/in.txt"]]

local function run(script)
   local dir = h.tmpdir()
   h.write(dir, "in.txt", "b\na\n")
   return h.sh(script, { env = { D = dir } }), dir
end

describe("closed descriptors", function()
   it("standard input: a job that does not read it runs, one that does gets nothing", function()
      local result = run("lmr run --quiet " .. JOB .. " <&-")
      assert.are.equal("", result.err)
      assert.are.equal("a\nb\n", result.out)
      assert.are.equal(0, result.code)
      result = run("lmr run --quiet -m 'emit(value)' <&-")
      assert.are.equal("", result.err)
      assert.are.equal(0, result.code)
   end)

   it("standard output: with -o it is not needed, without it is an error", function()
      local result, dir = run("lmr run --quiet " .. JOB .. " -o \"$D/out\" >&-")
      assert.are.equal("", result.err)
      assert.are.equal(0, result.code)
      assert.are.equal("a\nb\n", h.read(dir .. "/out/part-00000"))
      result = run("lmr run --quiet " .. JOB .. " >&-")
      assert.are.equal(1, result.code)
      assert.matches("cannot write to standard output: Bad file descriptor", result.err, 1, true)
   end)

   it("standard error: messages are lost, and nothing else", function()
      local result = run("lmr run " .. JOB .. " 2>&-")
      assert.are.equal("a\nb\n", result.out)
      assert.are.equal(0, result.code)
   end)

   it("a full standard output is not blamed on the job's disks", function()
      local result = run("lmr run --quiet " .. JOB .. " >/dev/full")
      assert.are.equal(1, result.code)
      assert.matches("^lmr: cannot write standard output: No space left on device\n", result.err)
   end)
end)
