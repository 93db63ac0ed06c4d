-- `lmr new`: each template is written, refused where it may not be, and runs as it says it does.
local h = require "spec.helper"

local templates = { "csv", "filter", "iterate", "join", "text" }

-- Writes a job from a template into a new directory.
local function new(name)
   local dir = h.tmpdir()
   local result = h.run({ "new", "my job.lua", "--template", name }, { dir = dir })
   assert.equal("lmr: wrote my job.lua; its first lines say how to run it\n", result.err)
   assert.equal(0, result.code)
   return dir
end

local function run(dir, ...)
   local result = h.run({ "run", "--quiet", "my job.lua", ... }, { dir = dir })
   assert.equal("", result.err)
   assert.equal(0, result.code)
   return result.out
end

describe("lmr new", function()
   it("lists the templates", function()
      local result = h.run { "new", "--list" }
      assert.equal(0, result.code)
      local names = {}
      for _, line in ipairs(h.lines(result.out)) do
         local name, summary = line:match("^(%l+) +(%S.*)$")
         names[#names + 1] = name
         assert.is_true(#summary > 10, line)
      end
      assert.same(templates, names)
   end)

   it("writes text unless told", function()
      local dir = h.tmpdir()
      assert.equal(0, h.run({ "new", "a.lua" }, { dir = dir }).code)
      assert.equal(0, h.run({ "new", "a.lua", "-t", "text" }, { dir = h.tmpdir() }).code)
      assert.matches('job_name = "a"', h.read(dir .. "/a.lua"), 1, true)
   end)

   it("names the job after the file, and the file in the text", function()
      local content = h.read(new("text") .. "/my job.lua")
      assert.matches('job_name = "my_job"', content, 1, true)
      assert.matches("lmr run my job.lua", content, 1, true)
      assert.is_nil(content:find("@", 1, true))
      local dir = h.tmpdir()
      assert.equal(0, h.run({ "new", "42.lua" }, { dir = dir }).code)
      assert.matches('job_name = "job"', h.read(dir .. "/42.lua"), 1, true)
   end)

   it("keeps a hostile file name from leaving its comment", function()
      local dir = h.tmpdir()
      assert.equal(0, h.run({ "new", "x\nos.exit(7)--.lua" }, { dir = dir }).code)
      local content = h.read(dir .. "/x\nos.exit(7)--.lua")
      assert.is_nil(content:find("\nos.exit", 1, true))
   end)

   it("never touches a file that exists", function()
      local dir = h.tmpdir()
      h.write(dir, "mine.lua", "mine")
      os.execute("ln -s nowhere " .. h.quote(dir .. "/link.lua"))
      for _, name in ipairs { "mine.lua", "link.lua", "." } do
         local result = h.run({ "new", name }, { dir = dir })
         assert.equal(("lmr: %s exists and was left as it is; give another name, or remove it first\n"):format(name),
            result.err)
         assert.equal(2, result.code)
      end
      assert.equal("mine", h.read(dir .. "/mine.lua"))
      assert.same({ "link.lua", "mine.lua" }, h.ls(dir))
   end)

   it("needs one name, a directory that is there and a template that is known", function()
      for _, case in ipairs {
         { {}, 2, "no name for the new file; usage: lmr new FILE [--template TEMPLATE]" },
         { { "a.lua", "b.lua" }, 2, "more than one name; usage: lmr new FILE [--template TEMPLATE]" },
         { { "a.lua", "-t", "txt" }, 2, "no template txt; did you mean text? (lmr new --list names all templates)" },
         { { "a.lua", "-t", "xyzzy" }, 2, "no template xyzzy; lmr new --list names all templates" },
         { { "no/a.lua" }, 1, "cannot create no/a.lua: there is no such directory; make it first, with mkdir -p" },
      } do
         local dir = h.tmpdir()
         local result = h.run({ "new", table.unpack(case[1]) }, { dir = dir })
         assert.equal("lmr: " .. case[3] .. "\n", result.err)
         assert.equal(case[2], result.code)
         assert.same({}, h.ls(dir))
      end
   end)

   it("leaves nothing on a full disk", function()
      local result = h.sh("lmr new /dev/full")
      assert.equal(2, result.code) -- it exists
   end)
end)

describe("the template", function()
   it("of every name is clean Lua", function()
      for _, name in ipairs(templates) do
         local result = h.sh("luac5.4 -p 'my job.lua' 2>&1 || lua5.4 -e 'assert(loadfile(\"my job.lua\"))'",
            { dir = new(name) })
         assert.equal(0, result.code, result.out .. result.err)
      end
   end)

   it("text counts words", function()
      local dir = new("text")
      h.write(dir, "in", "The cat and the dog,\nand THE end\n")
      assert.equal("and\t2\ncat\t1\ndog\t1\nend\t1\nthe\t3\n", run(dir, "in"))
   end)

   it("filter keeps lines in order", function()
      local dir = new("filter")
      h.write(dir, "in", "b error 1\nfine\na error 2\n")
      assert.equal("b error 1\na error 2\n", run(dir, "in", "--", "--pattern", "err.r"))
      assert.equal("b error 1\nfine\na error 2\n", run(dir, "in"))
   end)

   it("csv sums a column by another", function()
      local dir = new("csv")
      h.write(dir, "in.csv", 'country,price,note\nno,1.5,"a, b"\nde,10,\nno,2.5,x\nde,none,y\n')
      assert.equal("key,n,sum,mean\nde,1,10,10.0\nno,2,4.0,2.0\n",
         run(dir, "in.csv", "--", "--by", "country", "--column", "price"))
   end)

   it("join brings both sides together", function()
      local dir = new("join")
      h.write(dir, "customers.csv", "id,name\n1,Ada\n2,Bob\n3,Cyd\n")
      h.write(dir, "orders.csv", "id,customer,amount\n10,2,5.00\n11,1,7.50\n12,2,1.25\n13,9,3.00\n")
      assert.equal("1\tAda\t7.50\n2\tBob\t5.00\n2\tBob\t1.25\n9\t?\t3.00\n", run(dir))
   end)

   it("iterate finds the connected parts", function()
      local dir = new("iterate")
      h.write(dir, "edges", "a b\nb c\nx y\nd c\ne d\nz y\nlone lone\n")
      assert.equal("a\ta\nb\ta\nc\ta\nd\ta\ne\ta\nlone\tlone\nx\tx\ny\tx\nz\tx\n", run(dir, "edges"))
   end)
end)

describe("lmr lua", function()
   it("runs a file with mr and its arguments", function()
      local dir = h.tmpdir()
      h.write(dir, "t.lua", [[
         local mr = require "mr"
         print(#arg, arg[0], arg[1], arg[2], ..., type(mr.sum))
      ]])
      local result = h.run({ "lua", "t.lua", "--quiet", "--" }, { dir = dir })
      assert.equal("", result.err)
      assert.equal(0, result.code)
      assert.matches("^2\tt%.lua\t%-%-quiet\t%-%-\t%-%-quiet", result.out)
   end)

   it("tries a job in this process", function()
      local dir = new("text")
      h.write(dir, "t.lua", [[
         local mr = require "mr"
         local pairs, counters = mr.run(dofile "my job.lua", { inputs = { "a b a" } })
         assert(pairs[1][1] == "a" and pairs[1][2] == 2 and pairs[2][1] == "b" and #pairs == 2)
         assert(type(counters) == "table")
         print "fine"
      ]])
      local result = h.run({ "lua", "t.lua" }, { dir = dir })
      assert.equal("", result.err)
      assert.equal("fine\n", result.out)
   end)

   it("tells an error with its line, and what is not there", function()
      local dir = h.tmpdir()
      h.write(dir, "bad.lua", "local x = 1\nerror('boom')\n")
      h.write(dir, "syntax.lua", "local x = = 1\n")
      local result = h.run({ "lua", "bad.lua" }, { dir = dir })
      assert.matches("^lmr: bad%.lua:2: boom\n", result.err)
      assert.equal(1, result.code)
      result = h.run({ "lua", "syntax.lua" }, { dir = dir })
      assert.matches("^lmr: syntax%.lua:1: ", result.err)
      assert.equal(2, result.code)
      result = h.run({ "lua", "none.lua" }, { dir = dir })
      assert.matches("none.lua", result.err, 1, true)
      assert.equal(2, result.code)
      result = h.run { "lua" }
      assert.equal("lmr: no file to run; usage: lmr lua FILE [ARG…]\n", result.err)
      assert.equal(2, result.code)
   end)

   it("ends with the reader of its output", function()
      local dir = h.tmpdir()
      h.write(dir, "t.lua", "while true do print 'x' end\n")
      local result = h.sh("lmr lua t.lua | head -1", { dir = dir, timeout = 20 })
      assert.equal("x\n", result.out)
      assert.equal("", result.err)
   end)
end)
