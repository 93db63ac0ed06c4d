-- Whole jobs over inputs: every format in every compression gives what the plain file gives; large standard input; what
-- is cut and put together; an input that changes.
local assert = require "luassert"
local cjson = require "cjson"
local h = require "spec.helper"

local packers = { gz = "gzip -c", zst = "zstd -q -c", lz4 = "lz4 -q -c", bz2 = "bzip2 -c", xz = "xz -c" }

local SHOW = [[
local mr = require "mr"
return mr.job { input = %s, output = "jsonl", reducers = 0, map = function(key, value, emit) emit(key, value) end }
]]

local function lmr(dir, ...)
   local result = h.run({ "run", "--quiet", ... }, { dir = dir })
   assert.are.equal("", result.err)
   assert.are.equal(0, result.code)
   return result.out
end

-- Two pieces, for files of two members; the cut is in the middle of a record.
local contents = {
   { '"text"', "one\r\ntwo\n\nthr", "ee \0 \xff\nlast" },
   { '"jsonl"', '{"id": 9007199254740993, "f": 1.0}\n{"id": -9223372036854775808,', ' "s": "\\u00e4"}\n[1, null]\n' },
   { '"csv"', 'a,b\n1,"x ""y"", z"\n2,', 'plain\r\n3,""\r\n' },
   { '{ format = "csv", multiline = true, types = { a = "integer" } }', 'a,b\n1,"two\n', 'lines"\n2,c\n' },
   { '{ format = "csv", header = false, columns = { "p", "q" }, separator = ";" }', "1;2\n3", ";4\n" },
   { '"tsv"', "a\tb\n1\tx\\ty\n", "2\tz\n" },
   { '{ format = "fixed", record_size = 4 }', "abcdef", "gh\0\n\r\xff" },
   { '"whole"', "all of\n", "it\0" },
}

describe("every format, compressed in two members,", function()
   for _, case in ipairs(contents) do
      local format, first, second = case[1], case[2], case[3]
      it("gives what the plain file gives: " .. format, function()
         local dir = h.tmpdir()
         h.write(dir, "a", first)
         h.write(dir, "b", second)
         h.write(dir, "plain", first .. second)
         local job = h.write(dir, "job.lua", SHOW:format(format))
         local expected = lmr(dir, job, "plain")
         assert.is_true(#h.lines(expected) >= 1)
         for ending, pack in pairs(packers) do
            h.sh(("{ %s <a; %s <b; } >in.%s"):format(pack, pack, ending), { dir = dir })
            -- The name is a key only where the record is the file.
            local found = lmr(dir, job, "in." .. ending):gsub("in%." .. ending, "plain")
            assert.are.equal(expected, found, ending)
         end
      end)
   end
end)

describe("standard input", function()
   it("of 50 MB through a pipe gives each line once", function()
      local dir = h.tmpdir()
      local lines = h.sanitized and 200000 or 3500000
      local program = ('BEGIN { for (i = 0; i < %d; i++) print (i * 7919) %% 1000003, "text" }'):format(lines)
      local made = "LC_ALL=C awk " .. h.quote(program)
      local result = h.sh(([[
         cd %s && %s | tee all | "$LMR" run --quiet --json -m 'emit(#value, 1)' -r sum -o out - && wc -c <all
         awk '{ n[length($0)]++ } END { for (k in n) print k "\t" n[k] }' all | sort -n
      ]]):format(h.quote(dir), made), { timeout = 120 })
      assert.are.equal(0, result.code, result.err)
      local json, bytes, expected = result.out:match("^(.-)\n(%d+)\n(.*)$")
      local summary = cjson.decode(json)
      assert.are.equal(lines, summary.records_in)
      assert.are.equal(tonumber(bytes), summary.bytes_in)
      assert.is_true(h.sanitized or summary.map_tasks > 1)
      assert.are.equal(expected, h.read(dir .. "/out/part-00000"))
   end)

   it("may be of another format, and cut into small splits", function()
      local rows, dir = { "id,text" }, h.tmpdir()
      for i = 1, 500 do rows[#rows + 1] = ('%d,"%s ""q"", %d"'):format(i, ("z"):rep(i % 60), i) end
      local result = h.run({ "run", "--quiet", "--input", "csv", "--split-size", "1K", "--reducers", "0",
         "-m", "emit(value.id)", "-" }, { stdin = table.concat(rows, "\r\n"), dir = dir })
      assert.are.equal("", result.err)
      local ids = h.lines(result.out)
      assert.are.equal(500, #ids)
      for i, id in ipairs(ids) do assert.are.equal(tostring(i), id) end
   end)
end)

describe("splits", function()
   it("cut text anywhere and lose or repeat no line: LF, CRLF, empty and long ones", function()
      local dir, list = h.tmpdir(), {}
      for i = 1, 700 do
         list[i] = ("%d%s%s"):format(i, ("x"):rep(i % 13 == 0 and 2000 or i % 40), i % 3 == 0 and "\r" or "")
         if i % 7 == 0 then list[i] = i % 2 == 0 and "\r" or "" end
      end
      local text = table.concat(list, "\n")
      h.write(dir, "in.txt", text)
      local expected = lmr(dir, "--reducers", "0", "-m", "emit(key, value)", "--output-format", "jsonl", "in.txt")
      assert.are.equal(700, #h.lines(expected))
      for _, size in ipairs { "1K", "1025", "1999", "4K" } do
         assert.is_true(expected == lmr(dir, "--reducers", "0", "-m", "emit(key, value)", "--output-format", "jsonl",
            "--split-size", size, "in.txt"), size)
      end
   end)

   it("put small files together, keep compressed ones whole, and leave order to the names", function()
      local dir = h.tmpdir()
      for i = 1, 40 do h.write(dir, ("in/%02d.txt"):format(i), ("%02d\n"):format(i)) end
      h.sh("for i in 05 17; do gzip in/$i.txt; done", { dir = dir })
      local plan = cjson.decode(lmr(dir, "--dry-run", "--json", "-m", "emit(value)", "in"))
      assert.are.equal(40, plan.files)
      assert.is_true(plan.splits <= 5, "splits " .. plan.splits)
      local expected = {}
      for i = 1, 40 do expected[i] = ("%02d\n"):format(i) end
      assert.are.equal(table.concat(expected), lmr(dir, "--reducers", "0", "-m", "emit(value)", "in"))
   end)
end)

describe("an input that changes while the job runs", function()
   for change, message in pairs {
      [": >b.txt"] = "it had 3300000 bytes and has 0 now; run the job again from the start",
      ["rm b.txt"] = "it is not there any more; put it back, or run the job again from the start",
   } do it("is refused and named: " .. change, function()
      local dir = h.tmpdir()
      h.write(dir, "a.txt", "first\n")
      h.write(dir, "b.txt", ("0123456789\n"):rep(300000))
      local code = "if value == 'first' then io.open('here', 'w'):close()" ..
         " while not io.open('go') do mr.sleep(0.02) end end"
      local run = h.background({ "run", "-m", code .. " emit(value, 1)", "-r", "sum", "--workers", "1", "--split-size",
         "1M", "a.txt", "b.txt", "-o", "out", "--profile", "testing", "--set", "retry.max_retries=0" }, { dir = dir })
      h.poll(10, h.exists, dir .. "/here")
      h.sh(change, { dir = dir })
      h.write(dir, "go", "")
      local result = run:wait(20)
      assert.are.equal(1, result.code)
      assert.matches("map_1 failed (data_corruption): b.txt changed since the plan: " .. message, result.err, 1, true)
      assert.not_matches("record -1", result.err, 1, true)
      assert.is_false(h.exists(dir .. "/out/_SUCCESS"))
   end) end
end)
