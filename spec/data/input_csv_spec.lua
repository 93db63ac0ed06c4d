--- Rows of CSV and TSV → values, against a reader in plain Lua that takes one byte at a time.
local h = require "spec.helper"

local function probe(args, options)
   options = options or {}
   options.binary = h.tool("input_probe")
   return h.run(args, options)
end

local dir = h.tmpdir()

local function read(spec, text)
   return probe({ "read", spec, "0", "end", h.write(dir, "file", text) }).out
end

local function cuts(spec)
   return probe({ "cuts", spec, dir .. "/file" }).out
end

local function json_string(s)
   return '"' .. s:gsub('[%c"\\]', function(c)
      return ({ ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" })[c]
   end) .. '"'
end

-- The rows of a well-formed text: each with its offset and fields. Empty lines are no rows.
local function rows_of(text, separator)
   local rows, row, field, at, start = {}, {}, {}, 1, 1
   local quoted, was_quoted = false, false
   local function end_row(from)
      local whole = table.concat(field)
      if not was_quoted then
         whole = whole:gsub("\r$", "")
      end
      row[#row + 1] = whole
      if #row > 1 or row[1] ~= "" or was_quoted then
         rows[#rows + 1] = { offset = start - 1, fields = row }
      end
      row, field, was_quoted, start = {}, {}, false, from
   end
   while at <= #text do
      local c = text:sub(at, at)
      if quoted and c == '"' and text:sub(at + 1, at + 1) == '"' then
         field[#field + 1] = c
         at = at + 1
      elseif c == '"' and (quoted or #field == 0) then
         quoted, was_quoted = not quoted, true
      elseif quoted then
         field[#field + 1] = c
      elseif c == separator then
         row[#row + 1] = table.concat(field)
         field, was_quoted = {}, false
      elseif c == "\n" then
         end_row(at + 1)
      elseif not (was_quoted and c == "\r") then
         field[#field + 1] = c
      end
      at = at + 1
   end
   if start <= #text then
      end_row(at)
   end
   return rows
end

local function as_arrays(rows)
   local out = {}
   for _, row in ipairs(rows) do
      local fields = {}
      for i, field in ipairs(row.fields) do
         fields[i] = json_string(field)
      end
      out[#out + 1] = row.offset .. "\t[" .. table.concat(fields, ",") .. "]\n"
   end
   return table.concat(out)
end

local function as_maps(rows)
   local names = table.remove(rows, 1).fields
   local order = {}
   for i in ipairs(names) do
      order[i] = i
   end
   table.sort(order, function(a, b) return names[a] < names[b] end)
   local out = {}
   for _, row in ipairs(rows) do
      local fields = {}
      for _, i in ipairs(order) do
         fields[#fields + 1] = json_string(names[i]) .. ":" .. json_string(row.fields[i])
      end
      out[#out + 1] = row.offset .. "\t{" .. table.concat(fields, ",") .. "}\n"
   end
   return table.concat(out)
end

-- A well-formed text of rows with `columns` fields.
local function random_rows(n, columns, separator, line_ends)
   local pieces = { "a", "b c", "", "12", "x\"y", "ü", "'", "\r", "z" }
   local inside = { "a", "", '""', separator, "\r", "b", " ", line_ends and "\n" or "c", line_ends and "\r\n" or "d" }
   local out = {}
   for i = 1, n do
      local fields = {}
      for j = 1, columns do
         local text = { i == 1 and "name" .. (columns - j) or "" }
         for k = 2, math.random(1, 4) do
            text[k] = (j % 2 == 0 and inside or pieces)[math.random(#pieces)]
         end
         fields[j] = j % 2 == 0 and '"' .. table.concat(text) .. '"' or table.concat(text) .. (i > 1 and "." or "")
      end
      out[i] = table.concat(fields, separator) .. (math.random(3) == 1 and "\r\n" or "\n")
         .. (math.random(8) == 1 and "\n" or "")
   end
   local text = table.concat(out)
   return math.random(2) == 1 and text:gsub("[\r\n]+$", "") or text
end

describe("rows of csv", function()
   it("are maps by the header, at every cut", function()
      math.randomseed(11)
      for round = 1, h.sanitized and 4 or 12 do
         local text = random_rows(math.random(1, 12), math.random(1, 4), ",", false)
         assert.are.equal(as_maps(rows_of(text, ",")), read("csv", text), "round " .. round)
         assert.are.equal("same\n", cuts("csv"))
      end
   end)

   it("are arrays without a header, at every cut", function()
      math.randomseed(12)
      for _ = 1, h.sanitized and 4 or 12 do
         local text = random_rows(math.random(1, 12), math.random(1, 4), "\t", false)
         local spec = '{"format":"tsv","header":false}'
         assert.are.equal(as_arrays(rows_of(text, "\t")), read(spec, text))
         assert.are.equal("same\n", cuts(spec))
      end
   end)

   it("may span lines with multiline", function()
      math.randomseed(13)
      for _ = 1, 30 do
         local text = random_rows(math.random(1, 12), math.random(1, 4), ";", true)
         local spec = '{"format":"csv","separator":";","multiline":true}'
         assert.are.equal(as_maps(rows_of(text, ";")), read(spec, text))
      end
   end)

   it("may span many buffers with multiline", function()
      local text = "a,b\n" .. ('1,"' .. ("line\n"):rep(200000) .. 'end"\n'):rep(3) .. "2,c\n"
      local spec = '{"format":"csv","multiline":true}'
      assert.are.equal(as_maps(rows_of(text, ",")), read(spec, text))
   end)

   it("take names from columns, with or without a header", function()
      assert.are.equal('0\t{"x":"1","y":"2"}\n', read('{"format":"csv","header":false,"columns":["x","y"]}', "1,2"))
      assert.are.equal('4\t{"x":"1","y":"2"}\n', read('{"format":"csv","columns":["x","y"]}', "a,a\n1,2"))
      assert.are.equal("same\n", cuts('{"format":"csv","columns":["x","y"]}'))
   end)

   it("may have other quotes, or none", function()
      assert.are.equal('0\t["a|b","c\\"d"]\n',
         read('{"format":"csv","header":false,"separator":"|","quote":"\'"}', "'a|b'|c\"d\n"))
      assert.are.equal('0\t["\\"a","b\\""]\n', read('{"format":"csv","header":false,"quote":false}', '"a,b"\n'))
   end)

   it("begin behind a byte order mark, at every cut", function()
      assert.are.equal('7\t{"a":"1"}\n', read("csv", '\xef\xbb\xbf"a"\n1\n'))
      assert.are.equal("same\n", cuts("csv"))
      assert.are.equal('3\t["1"]\n', read('{"format":"csv","header":false}', "\xef\xbb\xbf1\n"))
      assert.are.equal("same\n", cuts('{"format":"csv","header":false}'))
   end)

   it("are none in a file with no more than a header", function()
      for _, text in ipairs { "a,b", "a,b\n", "\n\n", "\xef\xbb\xbf" } do
         assert.are.equal("", read("csv", text))
         assert.are.equal("same\n", cuts("csv"))
      end
   end)

   it("are converted by types", function()
      local spec = '{"format":"csv","types":{"n":"number","i":"integer","s":"string"}}'
      assert.are.equal('6\t{"i":-7,"n":1.5,"s":"01"}\n17\t{"i":9223372036854775807,"n":3,"s":""}\n' ..
         '40\t{"i":5,"n":1e+20,"s":"x"}\n',
         read(spec, "n,i,s\n1.5,-7,01\r\n3,9223372036854775807,\n1e20, +5 ,x\n"))
   end)

   it("with a field that does not convert are bad records", function()
      local spec = '{"format":"csv","types":{"n":"number","i":"integer"}}'
      local bad = { "x,1", ",1", "1,1.0", "1,", "nan,1", "inf,1", "0x10,1", "1 2,1", "1e999,1", "--1,1", "1,1e3",
         "1,9223372036854775808", ("1"):rep(600) .. ",1", "1\0,1" }
      local lines = h.lines(read(spec, "n,i\n" .. table.concat(bad, "\n") .. "\n1,2\n"))
      for i in ipairs(bad) do
         assert.matches('^bad %d+ ' .. i - 1 .. ' %d+: column "[ni]" is not an? [a-z]+: "', lines[i])
      end
      assert.matches('{"i":2,"n":1}$', lines[#bad + 1])
      assert.are.equal('bad 4 0 3: column "n" is not a number: "x"', lines[1])
   end)

   it("of another length than the header are bad records", function()
      assert.are.equal('bad 4 0 1: the row has 1 field, and there are 2 columns\n' ..
         'bad 6 1 5: the row has 3 fields, and there are 2 columns\n12\t{"a":"5","b":""}\n',
         read("csv", "a,b\n1\n2,3,4\n5,\n"))
   end)

   it("with a quote that is not closed are bad records, and reading goes on in the next line", function()
      assert.are.equal('bad 4 0 4: unclosed quote (field 2)\n9\t{"a":"3","b":"4"}\n' ..
         'bad 13 2 6: text after a closing quote (field 1)\n20\t{"a":"6","b":"7"}\n' ..
         'bad 24 4 1: unclosed quote (field 1)\n',
         read("csv", 'a,b\n1,"2\n3,4\n"5"x,6\n6,7\n"'))
      assert.are.equal("same\n", cuts("csv"))
   end)

   it("with a quote that is not closed end at max_record with multiline", function()
      local spec = '{"format":"csv","header":false,"multiline":true,"max_record":20}'
      assert.are.equal('bad 0 0 4: unclosed quote\n5\t["3","4"]\n9\t["a long row 5"]\n' ..
         '22\t["5","6\\n7"]\n30\t["8","9"]\nbad 34 5 5: unclosed quote\n40\t["11","12"]\n46\t["13","14"]\n',
         read(spec, '1,"2\n3,4\na long row 5\n5,"6\n7"\n8,9\n10,"x\n11,12\n13,14\n'))
      assert.are.equal('bad 0 0 4: text after a closing quote (field 2)\n5\t["3"]\n' ..
         'bad 7 2 4: unclosed quote\n12\t["5"]\n',
         read(spec, '1,"2\n3\n4,"x\n5\n'))
      assert.are.equal('bad 0 0 30: the record is longer than max_record (20 bytes)\n31\t["1"]\n',
         read(spec, '"' .. ("x"):rep(29) .. "\n1\n"))
      assert.are.equal('bad 0 0 30: the record is longer than max_record (20 bytes)\n31\t["1"]\n',
         read(spec, ("x"):rep(30) .. "\n1\n"))
   end)

   it("with one stray quote in a long file lose no more than their line with multiline", function()
      local text = "a,b\n" .. ("1,2\n"):rep(50) .. '3,"4\n' .. ("5,6\n"):rep(100000)
      local _, good = read('{"format":"csv","multiline":true,"max_record":"64K"}', text):gsub("\n%d+\t", "")
      assert.are.equal(100049, good)
   end)

   it("in a file whose header does not do are refused", function()
      local function refusal(text, spec)
         return read(spec or "csv", text):match("^error data_corruption %d+ %-1: .*/file: ([^\n]*)\n$")
      end
      assert.are.equal("its header row is broken: unclosed quote (field 2)", refusal('a,"b\n1,2\n'))
      assert.are.equal('two columns have the same name (give other names with columns = {…}): "a"',
         refusal("a,b,a\n1,2,3\n"))
      assert.are.equal('types names a column that is not in the header: "x"',
         refusal("a,b\n1,2\n", '{"format":"csv","types":{"x":"number"}}'))
   end)

   it("with very many fields are bad records", function()
      assert.matches("^bad 0 0 70000: the row has more than 65536 fields",
         read('{"format":"csv","header":false}', (","):rep(70000) .. "\n"))
   end)
end)
