--- Output of one spec file for spec/run.lua: one line for the file, what failed in full, and the
-- counts in the file $LMR_SPEC_REPORT, as "PASSED FAILED SKIPPED".

local pretty = require "pl.pretty"

local function text_of(message)
   if type(message) == "string" then
      return message
   end
   return message == nil and "no message" or pretty.write(message)
end

local function describe(kind, entry)
   local place = entry.element.trace or entry.trace or {}
   local traceback = entry.trace and entry.trace.traceback
   return ("%s: %s:%s: %s\n%s\n%s"):format(kind, place.short_src or "?", place.currentline or "?",
      entry.name, text_of(entry.message), traceback and traceback .. "\n" or "")
end

return function()
   local busted = require "busted"
   local handler = require "busted.outputHandlers.base"()

   function handler.suite_end()
      local failed = handler.failuresCount + handler.errorsCount
      local passed, skipped = handler.successesCount, handler.pendingsCount
      local path = os.getenv("LMR_SPEC_FILE") or "?"
      io.write(("%s %s: %d passed, %d failed%s, %.1f s\n"):format(failed == 0 and "ok  " or "FAIL", path,
         passed, failed, skipped > 0 and (", %d skipped"):format(skipped) or "", handler.getDuration()))
      for _, entry in ipairs(handler.failures) do
         io.write(describe("failure", entry), "\n")
      end
      for _, entry in ipairs(handler.errors) do
         io.write(describe("error", entry), "\n")
      end
      for _, entry in ipairs(handler.pendings) do
         io.write("     skipped: ", entry.name, entry.message and ": " .. text_of(entry.message) or "", "\n")
      end
      io.flush()
      local report = os.getenv("LMR_SPEC_REPORT")
      if report then
         local file = assert(io.open(report, "w"))
         file:write(("%d %d %d\n"):format(passed, failed, skipped))
         file:close()
      end
      return nil, true
   end

   busted.subscribe({ "suite", "end" }, handler.suite_end)
   return handler
end
