-- iterate until nothing changes: the connected parts of a graph
--
-- Run it:              lmr run @FILE@ EDGES…
-- Each line of EDGES names two nodes; the result names for each node the least node it is connected with.
-- The job API on a page: lmr help job

local mr = require "mr"

return mr.job {
   job_name = "@NAME@",

   -- The first step reads the lines: node → its neighbours. A step hands its pairs to the next one as they are.
   steps = {
      {
         map = function(_, line, emit)
            local a, b = line:match("(%S+)%s+(%S+)")
            if a then
               emit(a, b)
               emit(b, a)
            end
         end,
         reduce = function(node, neighbours, emit)
            local list = {}
            for neighbour in neighbours do list[#list + 1] = neighbour end
            emit(node, { label = node, neighbours = list })
         end,
      },

      -- Every round hands each node's label on to its neighbours and keeps the least.
      mr.iterate {
         map = function(node, state, emit)
            emit(node, state)
            for _, neighbour in ipairs(state.neighbours) do
               emit(neighbour, { label = state.label })
            end
         end,
         reduce = function(node, states, emit)
            local least, own
            for state in states do
               if state.neighbours then own = state end
               if not least or state.label < least then least = state.label end
            end
            if least < own.label then
               mr.increment("graph", "changed", 1)
            end
            emit(node, { label = least, neighbours = own.neighbours })
         end,
         max_rounds = 100,
         -- counters are those of the round that has ended
         stop_when = function(_, counters)
            return not (counters.graph and counters.graph.changed)
         end,
      },

      -- Last, leave the neighbours out.
      {
         map = function(node, state, emit) emit(node, state.label) end,
      },
   },
}
