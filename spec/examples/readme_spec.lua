-- What README.md shows must run.
local h = require "spec.helper"
local support = require "spec.examples.support"

local readme = h.read("README.md")

local function block(language, number)
   local n = 0
   for text in readme:gmatch("```" .. language .. "\n(.-)```") do
      n = n + 1
      if n == number then return text end
   end
   error("README.md has no " .. language .. " block number " .. number)
end

describe("README.md", function()
   it("shows a job of ten lines that counts words", function()
      local job = block("lua", 1)
      assert.are.equal(10, #h.lines(job))
      local path = h.write(h.tmpdir(), "word_count.lua", job)
      local result = h.run({ "run", path, "LICENSE", "--quiet" })
      assert.are.equal("", result.err)
      support.same_lines(support.oracle([[tr -cs 'A-Za-z0-9\200-\377' '\n' <LICENSE | sort | uniq -c |
         awk '$2 != "" { print $2 "\t" $1 }']], true), support.sorted(h.lines(result.out)))
   end)

   it("shows one-liners that print something", function()
      local n = 0
      for _, line in ipairs(h.lines(block("sh", 3))) do
         if line:find("^lmr") then
            n = n + 1
            local result = h.sh(line)
            assert.are.equal(0, result.code, line .. "\n" .. result.err)
            assert.is_true(#result.out > 0, line)
         end
      end
      assert.are.equal(4, n)
   end)

   it("shows a test of a job that passes", function()
      local path = h.write(h.tmpdir(), "word_count_test.lua", block("lua", 2))
      local result = h.run({ "lua", path })
      assert.are.equal("", result.err)
      assert.are.equal(0, result.code)
   end)

   it("names every option of lmr run", function()
      for option in h.run({ "help", "run" }).out:gmatch("\n%s+[^\n]-(%-%-[a-z-]+)") do
         assert.is_true(option == "--help" or option == "--map" or option == "--reduce" or option == "--output"
            or readme:find(option, 1, true) ~= nil, option)
      end
   end)
end)
