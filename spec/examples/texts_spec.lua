local h = require "spec.helper"
local support = require "spec.examples.support"

-- One word a line, as mr.words finds them, from the files or standard input that follow.
local WORDS = [[words() { cat "$@" | tr -cs 'A-Za-z0-9\200-\377' '\n' | sed '/^$/d'; }; ]]
local SPLIT = "64K"

describe("examples over text:", function()
   it("word_count counts what tr, sort and uniq count", function()
      local found = support.run("word_count", { split = SPLIT })
      local expected = support.oracle(WORDS .. "words " .. support.texts
         .. [[ | sort | uniq -c | awk '{ print $2 "\t" $1 }']], true)
      support.same_lines(expected, support.sorted(found))
   end)

   it("word_count takes files from the command line", function()
      local found = support.run("word_count", { split = "1K", inputs = { "LICENSE" } })
      local expected = support.oracle(WORDS .. [[words LICENSE | sort | uniq -c | awk '{ print $2 "\t" $1 }']], true)
      support.same_lines(expected, support.sorted(found))
   end)

   it("grep prints the lines that grep prints, in their order", function()
      local found = support.run("grep", { split = SPLIT, args = { "[Ww]isdom" } })
      support.same_lines(support.oracle("grep -ah '[Ww]isdom' " .. support.texts), found)
   end)

   it("grep takes a text that is no pattern", function()
      local found = support.run("grep", { split = SPLIT, args = { "--plain", "e.g." } })
      support.same_lines(support.oracle("grep -ahF 'e.g.' " .. support.texts), found)
   end)

   it("inverted_index lists the files of each word", function()
      local found = support.run("inverted_index", { split = SPLIT })
      local rows = support.oracle(WORDS .. "for file in " .. support.texts
         .. [[; do words "$file" | tr A-Z a-z | sort -u | sed "s,$,	$(basename "$file"),"; done]])
      local files = {}
      for _, row in ipairs(rows) do
         local word, file = row:match("^([^\t]+)\t(.*)$")
         files[word] = (files[word] and files[word] .. "," or "") .. '"' .. file .. '"'
      end
      local expected = {}
      for word, list in pairs(files) do expected[#expected + 1] = word .. "\t[" .. list .. "]" end
      support.same_lines(support.sorted(expected), support.sorted(found))
   end)

   it("top_n prints the most frequent words", function()
      local found = support.run("top_n", { split = SPLIT, args = { "--top", "25" } })
      support.same_lines(support.oracle(WORDS .. "words " .. support.texts
         .. [[ | sort | uniq -c | awk '{ print $1 "\t" $2 }' | sort -k1,1nr -k2,2r | sed 25q]]), found)
   end)

   it("top_n prints ten unless told, and fewer when there are no more", function()
      assert.are.equal(10, #support.run("top_n", { split = SPLIT }))
      local dir = h.tmpdir()
      local path = h.write(dir, "text", "b a b\nc a b")
      assert.are.same({ "3\tb", "2\ta", "1\tc" }, (support.run("top_n", { split = "1K", inputs = { path } })))
   end)
end)
