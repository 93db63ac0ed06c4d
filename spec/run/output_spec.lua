-- What a job leaves in its output directory: every format in every compression, headers, columns, side files; the
-- manifest against the files themselves; and nothing else.
local assert = require "luassert"
local cjson = require "cjson"
local h = require "spec.helper"

local unpackers = { none = "cat", gz = "gzip -dc", zst = "zstd -q -dc", lz4 = "lz4 -q -dc", bz2 = "bzip2 -dc",
   xz = "xz -dc" }
local compressions = { "none", "gz", "zst", "lz4", "bz2", "xz" }

-- A job whose reduce gives { city, year } → { n = …, note = … }, in two parts, with a side file.
local JOB = [[
local mr = require "mr"
local cities = { "Oslo", "Sao \"Paulo\"", "Ulm, DE", "tab\there" }
return mr.job {
   job_name = "table", reducers = 2, output = %s,
   map = function(offset, line, emit)
      local i = tonumber(line)
      emit({ cities[i %% 4 + 1], 2000 + i %% 3 }, i)
   end,
   reduce = function(key, values, emit)
      local n = 0
      for v in values do n = n + v end
      if key[2] == 2001 then mr.output("some_2001", key, { n = n, note = "x" }) end
      emit(key, { n = n, note = key[1]:sub(1, 2) })
   end,
}
]]

-- The rows it must give, in any order of parts: city, year, n, note.
local function rows()
   local cities, sums, list = { "Oslo", 'Sao "Paulo"', "Ulm, DE", "tab\there" }, {}, {}
   for i = 1, 600 do
      local at = (i % 4 + 1) .. ":" .. (2000 + i % 3)
      sums[at] = (sums[at] or 0) + i
   end
   for at, n in pairs(sums) do
      local city, year = at:match("(%d):(%d+)")
      city = cities[tonumber(city)]
      list[#list + 1] = { city, tonumber(year), n, city:sub(1, 2) }
   end
   return list
end

local function csv_field(v)
   v = tostring(v)
   return v:find('[,"\n]') and '"' .. v:gsub('"', '""') .. '"' or v
end

local function tsv_field(v)
   return (tostring(v):gsub("\t", "\\t"))
end

local function joined(row, field, separator)
   local fields = {}
   for i, v in ipairs(row) do fields[i] = field(v) end
   return table.concat(fields, separator) .. "\n"
end

local function json_string(s) return '"' .. s:gsub('"', '\\"'):gsub("\t", "\\t") .. '"' end

-- output description → how a row must look, and the first line of each part
local cases = {
   { [["text"]], function(r)
      return ("[%s,%d]\t{\"n\":%d,\"note\":%s}\n"):format(json_string(r[1]), r[2], r[3], json_string(r[4]))
   end },
   { [[{ format = "text", write = "value" }]], function(r)
      return ("{\"n\":%d,\"note\":%s}\n"):format(r[3], json_string(r[4]))
   end },
   { [["jsonl"]], function(r)
      return ("{\"key\":[%s,%d],\"value\":{\"n\":%d,\"note\":%s}}\n"):format(json_string(r[1]), r[2], r[3],
         json_string(r[4]))
   end },
   { [[{ format = "jsonl", write = "value" }]], function(r)
      return ("{\"n\":%d,\"note\":%s}\n"):format(r[3], json_string(r[4]))
   end },
   { [["csv"]], function(r) return joined(r, csv_field, ",") end },
   { [[{ format = "csv", columns = { "city", "year", "note", "n" }, header = true }]], function(r)
      return joined({ r[1], r[2], r[4], r[3] }, csv_field, ",")
   end, "city,year,note,n\n" },
   { [[{ format = "csv", columns = { "n" }, header = true, write = "value" }]],
      function(r) return r[3] .. "\n" end, "n\n" },
   { [["tsv"]], function(r) return joined(r, tsv_field, "\t") end },
   { [[{ format = "tsv", columns = { "city", "year", "note", "n" }, header = true }]], function(r)
      return joined({ r[1], r[2], r[4], r[3] }, tsv_field, "\t")
   end, "city\tyear\tnote\tn\n" },
}

local function numbers(dir)
   local list = {}
   for i = 1, 600 do list[i] = i end
   return h.write(dir, "in.txt", table.concat(list, "\n") .. "\n")
end

local function unpacked(path, compression)
   local result = h.sh(unpackers[compression] .. " " .. h.quote(path))
   assert.are.equal(0, result.code, result.err)
   return result.out
end

-- Content without its first line, which must be `header`; as sorted lines.
local function body(text, header)
   assert.are.equal(header, text:sub(1, #header))
   local lines = h.lines(text:sub(#header + 1))
   table.sort(lines)
   return lines
end

local function check_manifest(out, records)
   local manifest = cjson.decode(h.read(out .. "/_MANIFEST.json"))
   local names, total = { "_MANIFEST.json", "_SUCCESS" }, 0
   for _, file in ipairs(manifest.files) do
      names[#names + 1] = file.name
      local path = h.quote(out .. "/" .. file.name)
      assert.are.equal(tonumber(h.sh("wc -c <" .. path).out), file.bytes)
      local sum = h.sh("command -v xxhsum >/dev/null && xxhsum -H3 " .. path)
      assert.matches(sum.code == 0 and file.checksum or "^$", sum.out)
      if file.name:find("^part") then total = total + file.records end
   end
   table.sort(names)
   assert.are.same(names, h.ls(out)) -- and nothing else
   assert.are.equal("", h.read(out .. "/_SUCCESS"))
   assert.are.equal(records, total)
end

describe("output", function()
   for i, case in ipairs(cases) do
      -- Each format meets every compression in the course of the cases; text and csv meet all.
      local description, format_row, header = case[1], case[2], case[3] or ""
      it(description, function()
         local dir = h.tmpdir()
         local input = numbers(dir)
         local picked = (i == 1 or i == 6) and compressions or { "none", compressions[i % 5 + 2] }
         for _, compression in ipairs(picked) do
            local with = description:gsub('^"(%a+)"$', '{ format = "%1" }'):gsub("}$",
               compression == "none" and "}" or ', compress = "' .. compression .. '" }')
            local ending = compression == "none" and "" or "." .. compression
            local out = dir .. "/" .. compression
            local result = h.run { "run", "--quiet", h.write(dir, "job.lua", JOB:format(with)), input, "-o", out }
            assert.are.equal(0, result.code, result.err)
            local expected, found, some = {}, {}, {}
            for _, row in ipairs(rows()) do
               expected[#expected + 1] = format_row(row):sub(1, -2)
               if row[2] == 2001 then some[#some + 1] = format_row({ row[1], row[2], row[3], "x" }):sub(1, -2) end
            end
            for part = 0, 1 do
               local text = unpacked(("%s/part-0000%d%s"):format(out, part, ending), compression)
               for _, line in ipairs(body(text, header)) do found[#found + 1] = line end
            end
            table.sort(expected)
            table.sort(found)
            assert.are.same(expected, found)
            local side = ""
            for _, name in ipairs(h.ls(out)) do
               if name:find("^some_2001%-%d+") then
                  for _, line in ipairs(body(unpacked(out .. "/" .. name, compression), header)) do
                     side = side .. line .. "\n"
                  end
               end
            end
            local lines = h.lines(side)
            table.sort(lines)
            table.sort(some)
            assert.are.same(some, lines)
            check_manifest(out, #expected)
         end
      end)
   end

   it("raw is the bytes of the values, one after the other", function()
      local dir = h.tmpdir()
      local out = dir .. "/out"
      local path = h.write(dir, "job.lua", [[
         return require "mr".job { map = function(key, line, emit) emit(key, line .. "\0\n") end, output = "raw" }
      ]])
      assert.are.equal(0, h.run({ "run", "--quiet", path, numbers(dir), "-o", out }).code)
      assert.is_true(h.read(dir .. "/in.txt"):gsub("\n", "\0\n") == h.read(out .. "/part-00000"))
      check_manifest(out, 600)
   end)

   it("has the permissions that umask leaves", function()
      local dir = h.tmpdir()
      numbers(dir)
      for mask, expected in pairs { ["077"] = "700 600", ["022"] = "755 644", ["002"] = "775 664" } do
         local result = h.sh(([[
            cd %s && umask %s && "$LMR" run --quiet -m 'emit(value)' in.txt -o out%s &&
            stat -c %%a out%s out%s/* | uniq | paste -s -d' '
         ]]):format(h.quote(dir), mask, mask, mask, mask))
         assert.are.equal(expected .. "\n", result.out)
      end
   end)
end)
