-- Help, the man page and the completion: all of them come from the tables, so each must name all.
local h = require "spec.helper"

local function lmr(...)
   return h.run({ ... })
end

local function out(...)
   local result = lmr(...)
   assert.equal("", result.err)
   assert.equal(0, result.code)
   return result.out
end

local run_options = {
   "output", "overwrite", "map", "reduce", "input", "output-format", "workers", "reducers", "split-size",
   "sort-buffer", "compress-runs", "seed", "profile", "set", "state-dir", "work-dir", "dry-run", "json", "quiet",
   "help",
}
local commands = { "run", "jobs", "show", "why", "quarantine", "profile", "new", "lua", "help", "version" }
local topics = { "job", "input", "output", "reducers", "testing", "profiles", "policies", "exit-codes", "json", "files",
                 "journal", "environment" }

local function columns(line)
   return utf8.len(line) or #line
end

describe("lmr help", function()
   it("lists commands and topics, but nothing hidden", function()
      local text = out("help")
      for _, list in ipairs { commands, topics, { "commands", "options" } } do
         for _, name in ipairs(list) do
            assert.matches("\n  " .. name:gsub("%-", "%%-") .. " ", text)
         end
      end
      assert.is_nil(text:find("worker", 1, true))
      assert.equal(text, out("--help"))
      assert.equal(text, out("-h"))
   end)

   it("has a page for each command, which --help prints too", function()
      for _, name in ipairs(commands) do
         local text = out("help", name)
         assert.matches("^usage: lmr " .. name, text)
         assert.equal(text, out(name, "--help"))
         assert.equal(text, out(name, "-h"))
      end
   end)

   it("lists every option of run once", function()
      local text = out("help", "run")
      local listed = {}
      for head, name in text:gmatch("\n  (....)%-%-([a-z-]+)") do
         assert.matches("^%-?%l?,? +$", head)
         listed[#listed + 1] = name
      end
      assert.same(run_options, listed)
   end)

   it("has a page for each topic", function()
      for _, name in ipairs(topics) do
         assert.matches("^lmr help " .. name:gsub("%-", "%%-") .. ": ", out("help", name))
      end
      assert.matches("usage: lmr run", out("help", "commands"))
      assert.matches("%-%-split%-size SIZE", out("help", "options"))
   end)

   it("fits a terminal of 80 columns", function()
      for _, list in ipairs { commands, topics, { "commands", "options" } } do
         for _, name in ipairs(list) do
            for _, line in ipairs(h.lines(out("help", name))) do
               assert.is_true(columns(line) <= 80, name .. ": " .. line)
            end
         end
      end
   end)

   it("on something else names the nearest", function()
      for _, case in ipairs {
         { { "help", "jbo" }, "lmr: no help on jbo; did you mean lmr help job?\n" },
         { { "help", "xyzzy" }, "lmr: no help on xyzzy; lmr help lists commands and topics\n" },
         { { "help", "run", "new" }, "lmr: help takes one word, a command or a topic; lmr help lists them\n" },
      } do
         local result = h.run(case[1])
         assert.equal(case[2], result.err)
         assert.equal(2, result.code)
      end
   end)

   it("goes into a closed pipe in silence", function()
      for _, command in ipairs { "help", "help run", "help --man", "help --completion bash", "version" } do
         local result = h.sh(('{ lmr %s; echo "code $?" >&2; } | true'):format(command))
         assert.equal("code 0\n", result.err)
      end
   end)

   it("says so when standard output is full", function()
      local result = h.sh("lmr help run >/dev/full")
      assert.equal(1, result.code)
      assert.equal("lmr: cannot write standard output: No space left on device\n", result.err)
   end)
end)

describe("the man page", function()
   local page = h.run({ "help", "--man" }).out

   it("has all sections", function()
      local sections = {}
      for name in page:gmatch("\n%.SH ([^\n]+)") do
         sections[#sections + 1] = name:gsub('"', "")
      end
      assert.same({
         "NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS AND OPTIONS", "JOBS", "INPUTS", "OUTPUTS", "REDUCERS",
         "TESTING JOBS", "PROFILES", "POLICIES", "EXIT STATUS", "JSON", "FILES", "JOURNAL", "ENVIRONMENT",
         "EXAMPLES", "SEE ALSO",
      }, sections)
      assert.matches("^%.TH LMR 1 ", page)
      assert.matches("\nlmr \\%- ", page) -- what whatis(1) reads
   end)

   it("names all options and commands", function()
      for _, name in ipairs(run_options) do
         local escaped = name:gsub("%-", "\\-")
         assert.is_truthy(page:find("\\fB\\-\\-" .. escaped .. "\\fR", 1, true), name)
      end
      for _, name in ipairs(commands) do
         assert.is_truthy(page:find(".B lmr " .. name .. "\n", 1, true), name)
      end
   end)

   it("opens and closes what it opens", function()
      local function count(pattern)
         return select(2, page:gsub(pattern, ""))
      end
      assert.equal(count("\n%.nf\n"), count("\n%.fi\n"))
      assert.equal(count("\n%.RS 4\n"), count("\n%.RE\n"))
   end)

   it("knows only requests of man(7)", function()
      local known = {}
      for name in ("TH SH SS TP PP B BR br nf fi RS RE ad nh"):gmatch("%S+") do
         known[name] = true
      end
      for _, line in ipairs(h.lines(page)) do
         local request = line:match("^[.'](%S*)")
         assert.is_truthy(not request or known[request], line)
      end
   end)

   it("keeps the words of code as they are", function()
      assert.is_truthy(page:find("lmr run \\-m \\(aqfor w in mr.words(value) do emit(w, 1) end\\(aq \\-r sum", 1, true))
      assert.is_truthy(page:find("as \\et, \\en and \\e\\e", 1, true))
   end)

   it("is all ASCII, for a terminal of any locale", function()
      assert.is_nil(page:find("[\128-\255]"))
      assert.is_truthy(page:find("[OPTION\\&...] JOB.lua [INPUT\\&...]", 1, true))
   end)

   it("is rendered without a warning, where there is a renderer", function()
      local dir = h.tmpdir()
      h.write(dir, "lmr.1", page)
      local result = h.sh([[
         if command -v mandoc >/dev/null; then mandoc -T lint -W warning lmr.1
         elif command -v groff >/dev/null; then groff -ww -man -K utf8 -T utf8 lmr.1 2>&1 >/dev/null
         fi]], { dir = dir })
      assert.equal("", result.out .. result.err)
   end)
end)

describe("the completion for bash", function()
   local script = h.run({ "help", "--completion", "bash" }).out
   local dir = h.tmpdir()
   h.write(dir, "lmr.bash", script)
   h.write(dir, "some.lua", "")
   h.write(dir, "folder/x", "")

   -- What is offered for the last of these words.
   local function offered(...)
      local words = {}
      for i, word in ipairs { ... } do
         words[i] = h.quote(word)
      end
      local result = h.sh(([[bash -c '
         . ./lmr.bash
         COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
         _lmr
         printf "%%s\n" "${COMPREPLY[@]}" | LC_ALL=C sort' bash %s]]):format(table.concat(words, " ")), { dir = dir })
      assert.equal("", result.err)
      return h.lines(result.out)
   end

   it("is bash", function()
      local result = h.sh("bash -n lmr.bash", { dir = dir })
      assert.equal("", result.err)
      assert.equal(0, result.code)
   end)

   it("offers commands, topics and options", function()
      local all = table.concat(offered("lmr", ""), " ")
      for _, name in ipairs(commands) do
         assert.matches(" " .. name .. " ", " " .. all .. " ", 1, true)
      end
      assert.same({ "why" }, offered("lmr", "wh"))
      assert.same({ "--seed", "--set", "--sort-buffer", "--split-size", "--state-dir" }, offered("lmr", "run", "--s"))
      assert.same({ "job", "jobs", "journal", "json" }, offered("lmr", "help", "j"))
   end)

   it("offers values", function()
      assert.same({ "csv", "jsonl", "text", "tsv", "whole" }, offered("lmr", "run", "--input", ""))
      assert.same({ "raw" }, offered("lmr", "run", "--output-format", "=", "r"))
      assert.same({ "csv", "jsonl", "raw", "text", "tsv" }, offered("lmr", "run", "--output-format", "="))
      assert.same({ "folder" }, offered("lmr", "run", "x.lua", "-o", ""))
      assert.same({ "csv", "filter", "iterate", "join", "text" }, offered("lmr", "new", "x.lua", "--template", ""))
      assert.same({ "production" }, offered("lmr", "run", "--profile", "prod"))
      assert.same({ "" }, offered("lmr", "run", "--workers", ""))
      assert.same({ "task_crash" }, offered("lmr", "profile", "explain", "--type", "ta"))
   end)

   it("offers what lmr profile takes", function()
      assert.same({ "check", "diff", "explain", "list", "show", "use" }, offered("lmr", "profile", ""))
      assert.same({ "production" }, offered("lmr", "profile", "show", "prod"))
      assert.same({ "some.lua" }, offered("lmr", "profile", "diff", "production", "so"))
      assert.same({ "--job", "--json" }, offered("lmr", "profile", "show", "--j"))
   end)

   it("offers files", function()
      assert.same({ "some.lua" }, offered("lmr", "run", "so"))
   end)
end)
