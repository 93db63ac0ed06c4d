--- Compressed inputs: several members or frames, cut at every byte, every byte changed, and bounded memory.
local h = require "spec.helper"

local tool = h.tool("input_probe")
local formats = {
   gz = "gzip -c", zst = "zstd -q -c", lz4 = "lz4 -q -c", bz2 = "bzip2 -c", xz = "xz -c",
}
local names = { "bz2", "gz", "lz4", "xz", "zst" }
local dir = h.tmpdir()

local function sh(script)
   local result = h.sh(script, { dir = dir })
   assert.are.equal(0, result.code, result.err)
   return result.out
end

local function read(name, spec)
   return h.run({ "read", spec or "text", "0", "end", name }, { binary = tool, dir = dir }).out
end

-- Reads many contents of a file of that format: a list of what is printed for each.
local function read_each(format, contents)
   sh("rm -rf each; mkdir each")
   for i, bytes in ipairs(contents) do
      h.write(dir, ("each/%04d.%s"):format(i, format), bytes)
   end
   local out = {}
   for text in (sh(h.quote(tool) .. " each text each/*") .. "== "):gmatch("%d%d%d%d%.%w+\n(.-)%f[=]==%f[ ] ") do
      out[#out + 1] = text
   end
   assert.are.equal(#contents, #out)
   return out
end

local function compress(format, text, name)
   h.write(dir, "plain", text)
   sh(formats[format] .. " <plain >" .. name .. "." .. format)
   return h.read(dir .. "/" .. name .. "." .. format)
end

-- The records that the probe prints for the lines of a text.
local function records(text)
   local out, at = {}, 0
   for line in text:gmatch("([^\n]*)\n") do
      out[#out + 1] = at .. "\t" .. line .. "\n"
      at = at + #line + 1
   end
   return table.concat(out)
end

local function numbered(from, to)
   local lines = {}
   for i = from, to do
      lines[#lines + 1] = "line " .. i .. "\n"
   end
   return table.concat(lines)
end

for _, format in ipairs(names) do
   describe("a file that ends in ." .. format, function()
      it("is read like the plain one, in one member or several, also empty ones", function()
         local first, second = numbered(1, 50000), numbered(50001, 90000)
         local a, b, none = compress(format, first, "a"), compress(format, second, "b"), compress(format, "", "none")
         assert.are.equal(records(first), read("a." .. format))
         assert.are.equal("", read("none." .. format))
         h.write(dir, "two." .. format, a .. none .. b)
         assert.are.equal(records(first .. second), read("two." .. format))
         assert.are.equal(records(first .. second), read("two." .. format, '{"max_record":100}'))
         h.write(dir, "plain", first .. second)
         assert.are.equal(sh("cksum <plain"),
            sh(h.quote(tool) .. " read whole 0 end two." .. format .. " | tail -c +3 | head -c -1 | cksum"))
      end)

      it("gives every other format too", function()
         compress(format, "a,b\n1,2\n", "rows")
         assert.are.equal('4\t{"a":"1","b":"2"}\n', read("rows." .. format, "csv"))
         assert.are.equal("0\ta,b\n\n4\t1,2\n\n", read("rows." .. format, '{"format":"fixed","record_size":4}'))
         compress(format, '{"a":1}\n2\n', "values")
         assert.are.equal('0\t{"a":1}\n8\t2\n', read("values." .. format, "jsonl"))
      end)

      it("cut at any byte gives whole records, then an error", function()
         local text = numbered(1, 12)
         local one = compress(format, text, "whole")
         local bytes = one .. one
         local want = records(text .. text)
         local cut = {}
         for n = 1, #bytes - 1 do
            cut[n] = bytes:sub(1, n)
         end
         for n, out in ipairs(read_each(format, cut)) do
            if n == #one then
               assert.are.equal(records(text), out)
            else
               local good, offset, message = out:match("^(.-)error data_corruption (%d+) %-1: ([^\n]*)\n$")
               assert.is_truthy(good, out)
               assert.are.equal(good, want:sub(1, #good))
               assert.is_true(n < #one or #good >= #records(text))
               assert.is_true(tonumber(offset) <= 2 * #text)
               assert.matches("is cut: it ends inside a compressed stream, after " .. offset ..
                  " uncompressed bytes$", message)
            end
         end
      end)

      it("with any byte changed is refused, or none the worse", function()
         local text = numbered(1, 12)
         local bytes = compress(format, text, "whole")
         local changed, refused = {}, 0
         for n = 1, #bytes do
            for _, mask in ipairs { 1, 0x80, 0xff } do
               changed[#changed + 1] = bytes:sub(1, n - 1) .. string.char(bytes:byte(n) ~ mask) .. bytes:sub(n + 1)
            end
         end
         for i, out in ipairs(read_each(format, changed)) do
            if out:match("error data_corruption %d+ %-1: ") then
               refused = refused + 1
            else
               assert.are.equal(records(text), out, "change " .. i)
            end
         end
         assert.is_true(refused > 2 * #bytes)
      end)

      it("with something else behind it is refused", function()
         local text = numbered(1, 12)
         h.write(dir, "more." .. format, compress(format, text, "whole") .. "something else")
         local out = read("more." .. format)
         assert.are.equal(records(text), out:sub(1, #records(text)))
         assert.matches("error data_corruption 87 %-1: more%." .. format .. " is damaged: ", out)
      end)

      it("that is something else is refused", function()
         h.write(dir, "not." .. format, "this is plain text\n")
         assert.matches("^error data_corruption 0 %-1: not%." .. format .. " is damaged: ", read("not." .. format))
      end)

      it("delivers what is whole before the damage", function()
         local bytes = compress(format, numbered(1, 200000), "long")
         h.write(dir, "long." .. format, bytes:sub(1, #bytes - 5))
         local out = read("long." .. format)
         local _, lines = out:gsub("\n", "")
         assert.matches("\nerror data_corruption %d+ %-1: [^\n]*\n$", out)
         assert.is_true(lines > (format == "bz2" and 50000 or 150000), lines)
      end)
   end)
end

describe("a compressed file", function()
   it("of gzip may be padded with zeros", function()
      local text = numbered(1, 5)
      h.write(dir, "padded.gz", compress("gz", text, "whole") .. ("\0"):rep(1000))
      assert.are.equal(records(text), read("padded.gz"))
   end)

   it("of zstd and lz4 may have frames to be skipped", function()
      local text = numbered(1, 5)
      local skipped = "\x50\x2a\x4d\x18\5\0\0\0xxxxx"
      for _, format in ipairs { "zst", "lz4" } do
         local bytes = compress(format, text, "whole")
         h.write(dir, "skip." .. format, skipped .. bytes .. skipped .. bytes .. skipped)
         assert.are.equal(records(text .. text), read("skip." .. format))
         h.write(dir, "skip." .. format, bytes .. skipped:sub(1, -2))
         assert.matches("error data_corruption 35 %-1: skip%.[a-z4]+ is cut", read("skip." .. format))
      end
   end)

   it("of zstd that needs a large window is refused with what to do", function()
      sh("echo | zstd -q --long=28 -c >wide.zst")
      assert.are.equal("error data_corruption 0 -1: wide.zst is damaged: it needs a window of more than 128 MiB to " ..
         "decompress (compress it again with zstd --long=27 or less), after 0 uncompressed bytes\n", read("wide.zst"))
   end)

   it("of xz that needs much memory is refused with what to do", function()
      sh("head -c 1000 /dev/zero | xz --lzma2=dict=512MiB --memlimit-compress=0 -c >wide.xz")
      assert.matches("it needs more than 256 MiB to decompress", read("wide.xz"))
   end)

   it("may grow a thousandfold, a line of it only to max_record", function()
      sh("(echo a; head -c 100000000 /dev/zero; echo; echo b) | gzip -1 -c >bomb.gz")
      local limit = h.sanitized and "unlimited" or "120000"
      assert.are.equal("0\ta\nbad 2 1 65536: the record is longer than max_record (1048576 bytes)\n100000003\tb\n",
         sh("ulimit -v " .. limit .. "; " .. h.quote(tool) .. " read '{\"max_record\":\"1M\"}' 0 end bomb.gz"))
   end)

   it("is known by its ending alone", function()
      h.write(dir, "text.gzip", "plain\n")
      h.write(dir, "gz", "plain\n")
      assert.are.equal("0\tplain\n", read("text.gzip"))
      assert.are.equal("0\tplain\n", read("gz"))
   end)
end)
