-- PageRank: which Debian packages do the others lean on? A node of the average has rank 1.
--
--    lmr run examples/pagerank.lua | head
--    lmr run examples/pagerank.lua LINKS.txt -- --damping 0.9   a line: a node, then those it links to
--
-- A node without links (a dangling one) shares its rank among all nodes. How much rank that is, and
-- how many nodes there are, is known only after a whole round: the counters of the round before tell.
local mr = require "mr"

local args = mr.args { damping = 0.85, tolerance = 1e-10 }

local build = {
   map = function(_, line, emit)
      local names = mr.fields(line)
      for i = 2, #names do emit(names[i], {}) end
      emit(names[1], table.move(names, 2, #names, 1, {}))
   end,
   reduce = function(name, lists, emit)
      local links = {}
      for list in lists do table.move(list, 1, #list, #links + 1, links) end
      emit(name, { rank = 1.0, links = links })
   end,
}

local function spread(name, node, emit)
   emit(name, node)
   for _, link in ipairs(node.links) do emit(link, node.rank / #node.links) end
end

-- Round 1 only counts; each round after it computes new ranks.
local function collect(name, values, emit)
   local node, received = nil, 0.0
   for value in values do
      if type(value) == "table" then node = value else received = received + value end
   end
   local previous, rank = mr.task().previous, node.rank
   if previous then
      local graph = previous.counters.graph
      rank = 1 - args.damping + args.damping * (received + graph.dangling / graph.nodes)
   end
   mr.increment("graph", "nodes", 1)
   mr.increment("graph", "dangling", #node.links == 0 and rank or 0.0)
   mr.increment("graph", "moved", math.abs(rank - node.rank))
   emit(name, { rank = rank, links = node.links })
end

local rounds = mr.iterate {
   map = spread, reduce = collect, max_rounds = 200,
   stop_when = function(round, counters) return round > 1 and counters.graph.moved < args.tolerance end,
}

local sort = { -- greatest rank first
   map = function(name, node, emit) emit({ -node.rank, name }) end,
   reduce = function(key, _, emit) emit(key[2], -key[1]) end, reducers = 1,
}

return mr.job {
   job_name = "pagerank", input_files = { "examples/data/packages.list" },
   steps = { build, rounds, sort },
}
