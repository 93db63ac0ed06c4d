local h = require "spec.helper"
local n = require "spec.data.notation"

local dir = h.tmpdir()

local function probe(commands)
   return n.probe("output_probe", commands)
end

local function describe_output(format, options)
   local fields = { { "format", format } }
   for key, value in pairs(options or {}) do
      fields[#fields + 1] = { key, value }
   end
   table.sort(fields, function(a, b) return a[1] < b[1] end)
   return n.show(n.map(fields))
end

-- The part that pairs give, and what the probe printed.
local function part(format, pairs_of_it, options)
   local path = dir .. "/part"
   local commands = { ("open %s %s"):format(path, describe_output(format, options)) }
   for _, pair in ipairs(pairs_of_it) do
      commands[#commands + 1] = ("pair %s %s"):format(n.show(pair[1]), n.show(pair[2]))
   end
   commands[#commands + 1] = "close"
   local lines = probe(commands)
   return h.read(path), lines
end

describe("text output", function()
   it("is key, TAB, value, LF", function()
      assert.are.equal("the\t3\nbig\t-1234567890123\nmax\t9223372036854775807\nf\t0.1\nwhole\t2.0\nhuge\t1e+300\n" ..
         "s\ttext\nn\tnull\nno\tfalse\nsmall\t15\nnext\t16\n",
         (part("text", { { "the", 3 }, { "big", -1234567890123 }, { "max", math.maxinteger },
            { "f", 0.1 }, { "whole", 2.0 }, { "huge", 1e300 },
            { "s", "text" }, { "n", n.null }, { "no", false }, { "small", 15 }, { "next", 16 } })))
   end)

   it("prints a key stored alone alone", function()
      assert.are.equal("line one\n\n7\n[1,\"a\"]\ntrue\n",
         (part("text", { { "line one", true }, { "", true }, { 7, true }, { { 1, "a" }, true }, { true, true } })))
   end)

   it("prints tables as JSON, strings as they are", function()
      assert.are.equal("[\"a\",1,[null]]\t{\"x\":[1.5,\"é\"]}\na\tb\tc\nd\0\xff\n2.5\t[]\n",
         (part("text", { { { "a", 1, { n.null } }, n.map { { "x", { 1.5, "é" } } } }, { "a\tb", "c\nd\0\xff" },
            { 2.5, {} } })))
   end)

   it("can be values only", function()
      assert.are.equal("3\ntrue\ntext\n", (part("text", { { "a", 3 }, { "b", true }, { "c", "text" } },
         { write = "value" })))
   end)

   it("of a pair it cannot hold says why, and holds nothing of it", function()
      local text, lines = part("text", { { "a", 1 }, { "b", { 0 / 0 } }, { "c", 0 / 0 }, { "d", 2 } })
      assert.are.equal("a\t1\nc\tnan\nd\t2\n", text)
      assert.are.equal("script_error: JSON cannot hold nan (not a number)", lines[1])
      assert.matches("^3 14 14 ", lines[2])
   end)
end)

describe("csv and tsv output", function()
   it("flattens key elements, then value elements", function()
      local rows = { { "w", 3 }, { { "a", 1 }, { 2.5, "x" } }, { 7, n.map { { "b", "y" }, { "c", n.null } } },
         { "alone", true }, { "t", { { 1, 2 }, false } } }
      assert.are.equal('w,3\na,1,2.5,x\n7,y,\nalone\nt,"[1,2]",false\n', (part("csv", rows)))
      assert.are.equal("w\t3\na\t1\t2.5\tx\n7\ty\t\nalone\nt\t[1,2]\tfalse\n", (part("tsv", rows)))
   end)

   it("quotes and escapes", function()
      local rows = { { 'a"b', "c,d" }, { "e\nf", "g\rh" }, { "tab\t", "back\\" }, { "", true } }
      assert.are.equal('"a""b","c,d"\n"e\nf","g\rh"\ntab\t,back\\\n""\n', (part("csv", rows)))
      assert.are.equal('a"b\tc,d\ne\\nf\tg\\rh\ntab\\t\tback\\\\\n\n', (part("tsv", rows)))
   end)

   it("names its columns, which pick fields of a map", function()
      local options = { columns = { "word", "n", "bytes, all" }, header = true }
      assert.are.equal('word,n,"bytes, all"\nthe,2,30\nof,1,\nx,1,2\nk,true\n', (part("csv", {
         { "the", n.map { { "bytes, all", 30 }, { "left out", 1 }, { "n", 2 } } }, { "of", n.map { { "n", 1 } } },
         { "x", { 1, 2 } }, { "k", true } }, options)))
      assert.are.equal("word,n\n", (part("csv", {}, { columns = { "word", "n" }, header = true })))
      assert.are.equal("2\t1\n", (part("tsv", { { "key", n.map { { "a", 1 }, { "b", 2 } } } },
         { columns = { "b", "a" }, write = "value" })))
      assert.are.equal("k\n", (part("tsv", { { "k", true } }, { columns = { "k" } })))
   end)
end)

describe("other formats", function()
   it("jsonl is a pair or a value a line", function()
      local rows = { { "a\n", 1 }, { { 1, "b" }, n.map { { "x", 1.0 } } }, { 5, true } }
      assert.are.equal('{"key":"a\\n","value":1}\n{"key":[1,"b"],"value":{"x":1.0}}\n{"key":5,"value":true}\n',
         (part("jsonl", rows)))
      assert.are.equal('1\n{"x":1.0}\ntrue\n', (part("jsonl", rows, { write = "value" })))
      local text, lines = part("jsonl", { { "k", 0 / 0 }, { "k", 1 } })
      assert.are.equal('{"key":"k","value":1}\n', text)
      assert.are.equal("script_error: JSON cannot hold nan (not a number)", lines[1])
   end)

   it("raw is the bytes of the values", function()
      local text, lines = part("raw", { { "a", "one\0" }, { "b", 2 }, { "alone", true }, { 3, true }, { 3, "two" } })
      assert.are.equal("one\0alonetwo", text)
      assert.are.equal("script_error: raw output needs strings as values, got a number", lines[1])
      assert.are.equal("script_error: raw output needs a string; the key stored alone is none", lines[2])
   end)

   it("pairs are a run of one partition and one segment, in the order given, for the next step", function()
      for _, options in ipairs { {}, { compress = "lz4" } } do
         local rows = { { "b", 1 }, { { "a", 2.5 }, n.map { { "x", n.null } } }, { 7, "v" } }
         local _, lines = part("pairs", rows, options)
         assert.matches("^3 %d+ %d+ %x+$", lines[1])
         assert.are.same({ "1 segments, 1 partitions", "s62 = i1", "[ s61 d0x1.4p+1 ] = { s78 n }", "i7 = s76" },
            probe { "pairs " .. dir .. "/part" })
      end
   end)

   it("print keys and values by themselves", function()
      assert.are.same({ '["a",1]', "7", "text", "1.5", "null", '{"a":1}' }, probe { "textkey [ s61 i1 ]", "textkey d7",
         "textval s74657874", "textval d1.5", "textval n", "textval { s61 i1 }" })
   end)
end)

describe("an output's description", function()
   it("is a name or a table", function()
      assert.are.same({ "ok", "ok", "ok", "ok.gz", "ok.zst", "ok.lz4", "ok.bz2", "ok.xz", "ok" }, probe {
         "spec n", "spec " .. n.show "csv", "spec " .. n.show(n.map {}),
         "spec " .. describe_output("text", { compress = "gz" }),
         "spec " .. describe_output("csv", { compress = "zst" }),
         "spec " .. describe_output("tsv", { compress = "lz4" }),
         "spec " .. describe_output("raw", { compress = "bz2" }),
         "spec " .. describe_output("jsonl", { compress = "xz" }),
         "spec " .. describe_output("pairs", { compress = "lz4" }) })
   end)

   it("that is wrong is refused", function()
      local long = {}
      for i = 1, 257 do
         long[i] = "c" .. i
      end
      local cases = {
         [n.show "cvs"] = 'usage: output: unknown format "cvs"; did you mean "csv"?',
         [n.show(3)] = "usage: output: must be a format's name or a table, got a number",
         [describe_output("text", { compres = "gz" })] =
            'usage: output: unknown option "compres"; did you mean "compress"?',
         [describe_output("text", { compress = "zip" })] =
            'usage: output: unknown compress "zip"; there are none, gz, zst, lz4, bz2, xz',
         [describe_output("text", { compress = true })] = "usage: output: compress must be a string, got a boolean",
         [describe_output("text", { columns = { "a" } })] =
            "usage: output: columns need the format csv or tsv, not text",
         [describe_output("csv", { columns = { 1 } })] = "usage: output: columns must be names (strings)",
         [describe_output("csv", { columns = {} })] = "usage: output: columns must be a list of 1 to 256 names",
         [describe_output("csv", { columns = long })] = "usage: output: columns must be a list of 1 to 256 names",
         [describe_output("csv", { header = true })] = "usage: output: header = true needs columns",
         [describe_output("csv", { header = 1, columns = { "a" } })] =
            "usage: output: header must be true or false, got a number",
         [describe_output("text", { write = "key" })] = 'usage: output: unknown write "key"; there are pair, value',
         [describe_output("pairs", { compress = "gz" })] = "usage: output: pairs can be compressed with lz4 only",
         [describe_output("pairs", { write = "value" })] = "usage: output: pairs are written as pairs",
      }
      for description, message in pairs(cases) do
         assert.are.equal(message, probe { "spec " .. description }[1])
      end
   end)

   it("on a full disk is disk_full", function()
      local lines = probe { "open /dev/full " .. n.show "text", "pair i1 i2", "close" }
      assert.are.same({ "disk_full: cannot write /dev/full: No space left on device" }, lines)
   end)

   it("whose file cannot be made is an error that names it", function()
      assert.matches("^task_crash: .*/nowhere/part: No such file",
         probe { "open " .. dir .. "/nowhere/part " .. n.show "text" }[1])
      assert.matches("/nowhere/part: No such file", probe { "open " .. dir .. "/nowhere/part " .. n.show "pairs" }[1])
   end)
end)

describe("compressed parts", function()
   local tools = { gz = "zcat", zst = "zstdcat", lz4 = "lz4cat", bz2 = "bzcat", xz = "xzcat" }
   local tests = { gz = "gzip -tv", zst = "zstd -tq", lz4 = "lz4 -tq", bz2 = "bzip2 -t", xz = "xz -t" }

   -- Parts of n pairs with each compression, written by one probe; returns paths and the probe's lines.
   local function write_all(fill)
      local commands, paths, kinds = {}, {}, { "none", "gz", "zst", "lz4", "bz2", "xz" }
      for _, kind in ipairs(kinds) do
         paths[kind] = ("%s/%s.%s"):format(dir, fill:gsub(" ", "-"), kind)
         commands[#commands + 1] = ("open %s %s"):format(paths[kind], describe_output("text", { compress = kind }))
         commands[#commands + 1] = fill
         commands[#commands + 1] = "close"
      end
      local lines = {}
      for i, line in ipairs(probe(commands)) do
         lines[kinds[i]] = line
      end
      return paths, lines
   end

   it("read back with the system's tools, empty ones too", function()
      for _, fill in ipairs { "fill 0", "fill 1", h.sanitized and "fill 20000" or "fill 200000" } do
         local paths, lines = write_all(fill)
         local count = tonumber(fill:match("%d+"))
         local expected = {}
         for i = 0, count - 1 do
            expected[i + 1] = ("key-%d\t%d\n"):format(i, i)
         end
         expected = table.concat(expected)
         assert.are.equal(expected, h.read(paths.none))
         for kind, tool in pairs(tools) do
            assert.are.equal(0, h.sh(("%s <%s"):format(tests[kind], paths[kind])).code, kind)
            local compared = h.sh(("%s <%s | cmp - %s"):format(tool, paths[kind], paths.none))
            assert.are.equal(0, compared.code, kind .. " " .. fill)
            local records, bytes, raw = lines[kind]:match("^(%d+) (%d+) (%d+) ")
            assert.are.same({ count, #h.read(paths[kind]), #expected },
               { tonumber(records), tonumber(bytes), tonumber(raw) })
         end
      end
   end)

   it("have the checksum of their bytes", function()
      local paths, lines = write_all("fill 30000")
      for kind, path in pairs(paths) do
         assert.are.equal(probe { "hash " .. path }[1], lines[kind]:match("%x+$"))
      end
   end)

   it("have content checksums in frames that would have none", function()
      local paths = write_all("fill 1000")
      assert.matches("XXH64", h.sh("zstd -l " .. paths.zst).out)
      assert.matches("CRC64", h.sh("xz -l " .. paths.xz).out)
      assert.are.equal(4, h.read(paths.lz4):byte(5) & 4, "the frame descriptor's content checksum flag")
   end)

   it("begin a new member every 64 MiB, wherever rows were cut", function()
      if h.sanitized then
         return
      end
      local mib = 1 << 20
      local path = dir .. "/members"
      local starts = { gz = "\x1f\x8b\x08\0\0\0\0\0\0\x03", zst = "\x28\xb5\x2f\xfd", lz4 = "\x04\x22\x4d\x18" }
      for kind, magic in pairs(starts) do
         -- 150 MiB of rows of 1 MiB (a letter run and LF): members of 64, 64 and 22 MiB.
         local lines = probe { ("open %s %s"):format(path, describe_output("text", { compress = kind })),
            ("pad 150 %d"):format(mib - 1), "close" }
         assert.matches("^150 %d+ 157286400 ", lines[1])
         assert.are.equal("157286400\n", h.sh(("%s <%s | wc -c"):format(tools[kind], path)).out)
         local content, count, at = h.read(path), 0, 1
         while true do
            at = content:find(magic, at, true)
            if not at then
               break
            end
            count, at = count + 1, at + 1
         end
         assert.are.equal(3, count, kind)
      end
      -- Exactly two members: no empty one after them.
      probe { ("open %s %s"):format(path, describe_output("text", { compress = "zst" })),
         ("pad 128 %d"):format(mib - 1), "close" }
      assert.matches("\n%s+2%s", h.sh("zstd -l " .. path).out)
   end)

   it("are the same however rows are cut into writes", function()
      local path = dir .. "/cuts"
      for kind, tool in pairs(tools) do
         local first
         for _, step in ipairs { 7, 1000, 262144, 900000 } do
            probe { ("open %s %s"):format(path, describe_output("raw", { compress = kind })), "stream 900000 " .. step,
               "close" }
            local content = h.read(path)
            first = first or content
            assert.is_true(first == content, kind .. " " .. step)
         end
         assert.are.equal("900000\n", h.sh(("%s <%s | wc -c"):format(tool, path)).out)
      end
   end)
end)
