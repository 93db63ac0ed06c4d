-- What people type who have not read the help: each is told what is wrong and what to do next.
local assert = require "luassert"
local h = require "spec.helper"

local function run(...)
   local dir = h.tmpdir()
   h.write(dir, "in.txt", "to be or not to be\n")
   return h.run({ "run", "--quiet", ... }, { dir = dir }), dir
end

local function refused(code, text, ...)
   local result = run(...)
   assert.matches(text, result.err, 1, true)
   assert.are.equal("", result.out)
   assert.are.equal(code, result.code)
end

describe("a command line", function()
   it("that begins with an input is told what comes first", function()
      refused(2, "in.txt:1: syntax error near 'be'; the first word is the job, a Lua file (without one: lmr run -m",
         "in.txt")
   end)

   it("with the beginning of an option is told the option", function()
      refused(2, "unknown option --out; did you mean --output?", "-m", "emit(value)", "in.txt", "--out", "x")
   end)

   it("with an address that is not read is told how to read it", function()
      refused(2, "an input begins with ftp://, and inputs are files or addresses that begin with http:// or " ..
         "https://; pipe it in: COMMAND ADDRESS | lmr run … -", "-m", "emit(value)", "ftp://user:secret@host/a.txt")
   end)
end)

describe("a job", function()
   it("whose list of inputs came out empty does not wait for standard input", function()
      local dir = h.tmpdir()
      local path = h.write(dir, "job.lua",
         'local mr = require "mr"\nreturn mr.job {\n   map = mr.word_mapper,\n   input_files = {},\n}\n')
      refused(2, path .. ":4: input_files is empty; name a file, or leave it out and name some to lmr run", path)
   end)

   it("that writes side files where none can be is told to name a directory", function()
      local code = 'mr.output("words", value, 1) emit(value, 1)'
      refused(1, "mr.output: 'words' has no place, for the result goes to standard output; run the job with -o DIR",
         "-m", code, "in.txt")
      local result, dir = run("-m", code, "in.txt", "-o", "out")
      assert.are.equal(0, result.code)
      assert.are.same({ "_MANIFEST.json", "_SUCCESS", "part-00000", "words-00000" }, h.ls(dir .. "/out"))
   end)
end)

describe("an input", function()
   it("that is not what its ending says is told from one that is damaged", function()
      local dir = h.tmpdir()
      local hint = "it does not begin like such a file: rename it if it is something else"
      for _, ending in ipairs { "gz", "zst", "lz4", "bz2", "xz" } do
         h.write(dir, "text." .. ending, "to be or not to be\n")
         refused(1, "uncompressed bytes; " .. hint, "-m", "emit(value)", dir .. "/text." .. ending)
      end
      h.sh("printf x | gzip >cut.gz; truncate -s 12 cut.gz", { dir = dir })
      assert.is_nil(run("-m", "emit(value)", dir .. "/cut.gz").err:find(hint, 1, true))
   end)

   it("of one JSON value over many lines is told how to put it on lines", function()
      local dir = h.tmpdir()
      h.write(dir, "array.json", '[{"a": 1},\n {"a": 2}]\n')
      refused(1, "each line must be one value (jq -c . FILE puts a value on a line, jq -c '.[]' FILE the elements",
         "--input", "jsonl", "-m", "emit(value.a)", dir .. "/array.json")
      h.write(dir, "word.jsonl", "[1, x]\n")
      assert.is_nil(run("--input", "jsonl", "-m", "emit(value)", dir .. "/word.jsonl").err:find("jq", 1, true))
   end)
end)

describe("a result among the inputs", function()
   it("is read, and told of, when it is to be replaced", function()
      local dir = h.tmpdir()
      h.write(dir, "in/a.txt", "one\n")
      local function run_in(...)
         return h.run({ "run", "-m", "emit(value)", "-o", "in/out", ... }, { dir = dir })
      end
      assert.is_nil(run_in("in").err:find("warning", 1, true))
      local again = run_in("in", "--overwrite")
      assert.are.equal(0, again.code)
      assert.matches("warning: the input in/out/part-00000 is a file of the earlier result that the new one replaces",
         again.err, 1, true)
      assert.are.equal("one\none\n", h.read(dir .. "/in/out/part-00000"))
      assert.is_nil(run_in("in/a.txt", "--overwrite").err:find("warning", 1, true))
   end)
end)
