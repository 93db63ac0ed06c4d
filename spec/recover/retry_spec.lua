-- When to try again: delays of each strategy and jitter against a plain loop in Lua, how the drawn part is
-- distributed, and the retry budget.
local h = require "spec.helper"
local n = require "spec.data.notation"

-- --- the oracle ---

-- splitmix64, as its authors give it: the n-th number of the stream that starts at `seed`.
local function splitmix(seed)
   local z = seed + 0x9e3779b97f4a7c15
   z = (z ~ (z >> 30)) * 0xbf58476d1ce4e5b9
   z = (z ~ (z >> 27)) * 0x94d049bb133111eb
   return z ~ (z >> 31)
end

local function draw(seed, retry)
   return (splitmix(splitmix(seed) + retry) >> 11) * 2.0 ^ -53
end

local plain = {
   immediate = function() return 0 end,
   fixed_delay = function(base) return base end,
   linear_backoff = function(base, _, retry) return base * retry end,
   exponential_backoff = function(base, multiplier, retry)
      local delay = base + 0.0
      for _ = 2, math.min(retry, 2000) do delay = delay * multiplier end
      return delay
   end,
}
plain["function"] = plain.exponential_backoff

local jitters = {
   none = function(d) return d end,
   full = function(d, retry, seed) return draw(seed, retry) * d end,
   equal = function(d, retry, seed) return d / 2 + draw(seed, retry) * d / 2 end,
   decorrelated = function(_, retry, seed, base, max)
      local d = base
      for i = 1, retry do d = math.min(max, base + draw(seed, i) * math.max(0, 3 * d - base)) end
      return d
   end,
}

local function oracle(strategy, jitter, base, max, multiplier, retry, seed)
   return jitters[jitter](math.min(max, plain[strategy](base, multiplier, retry)), retry, seed, base, max)
end

-- --- the host ---

local function ask(commands)
   return n.probe("verdict_probe", commands)
end

local function near(expected, actual, what)
   local given = assert(tonumber(actual), tostring(actual))
   local most = 1e-12 * math.max(1, math.abs(expected))
   if math.abs(expected - given) > most then error(("%s: expected %.17g, got %s"):format(what, expected, actual)) end
end

local function sorted(set)
   local names = {}
   for name in pairs(set) do names[#names + 1] = name end
   table.sort(names)
   return names
end

describe("the delay before a retry", function()
   it("is what strategy, base, multiplier, longest delay, jitter and seed say", function()
      local cases, commands = {}, {}
      for _, strategy in ipairs(sorted(plain)) do
         for _, jitter in ipairs(sorted(jitters)) do
            for _, numbers in ipairs { { 1, 60, 2 }, { 0.25, 8, 1.5 }, { 2, 5, 3 }, { 0, 60, 2 }, { 10, 4, 2 },
               { 1, 1e9, 1 } } do
               for _, seed in ipairs { 0, 1, 42, 0x7fffffffffffffff } do
                  for _, retry in ipairs { 1, 2, 3, 4, 5, 8, 20, 1100 } do
                     local case = { strategy, jitter, numbers[1], numbers[2], numbers[3], retry, seed }
                     cases[#cases + 1] = case
                     commands[#commands + 1] = "delay " .. table.concat(case, " ")
                  end
               end
            end
         end
      end
      local given = ask(commands)
      assert.equal(#cases, #given)
      for i, case in ipairs(cases) do near(oracle(table.unpack(case)), given[i], commands[i]) end
   end)

   local function sequence(strategy, base, max, multiplier)
      local commands = {}
      for retry = 1, 7 do
         commands[retry] = ("delay %s none %s %s %s %d 1"):format(strategy, base, max, multiplier, retry)
      end
      local list = ask(commands)
      for i, text in ipairs(list) do list[i] = tonumber(text) end
      return list
   end

   it("can be told by heart where nothing is drawn", function()
      assert.same({ 0, 0, 0, 0, 0, 0, 0 }, sequence("immediate", 1, 60, 2))
      assert.same({ 3, 3, 3, 3, 3, 3, 3 }, sequence("fixed_delay", 3, 60, 2))
      assert.same({ 5, 5, 5, 5, 5, 5, 5 }, sequence("fixed_delay", 30, 5, 2))
      assert.same({ 2, 4, 6, 8, 10, 11, 11 }, sequence("linear_backoff", 2, 11, 2))
      assert.same({ 1, 2, 4, 8, 16, 32, 60 }, sequence("exponential_backoff", 1, 60, 2))
      assert.same({ 1, 10, 100, 1000, 10000, 100000, 1000000 }, sequence("exponential_backoff", 1, 1e9, 10))
      assert.same({ 0, 0, 0, 0, 0, 0, 0 }, sequence("exponential_backoff", 0, 60, 1000))
   end)

   it("is jittered, and cut, where a function gives it", function()
      local cases, commands = {}, {}
      for _, jitter in ipairs(sorted(jitters)) do
         for _, given in ipairs { 0, 0.1, 7, 59, 60, 1e6 } do
            for retry = 1, 5 do
               cases[#cases + 1] = { jitter, given, retry }
               commands[#commands + 1] = ("jittered %s 2 60 %s %d 99"):format(jitter, given, retry)
            end
         end
      end
      for i, text in ipairs(ask(commands)) do
         local jitter, given, retry = table.unpack(cases[i])
         local d = math.min(given, 60)
         local expected = jitter == "decorrelated" and math.min(60, 2 + draw(99, retry) * math.max(0, 3 * d - 2))
            or jitters[jitter](d, retry, 99)
         near(expected, text, commands[i])
      end
   end)

   it("is the same whenever, and in whatever order, it is asked for", function()
      local forth, back = {}, {}
      for i = 1, 50 do
         forth[i] = ("delay exponential_backoff full 1 60 2 %d 7"):format(i)
         back[51 - i] = forth[i]
      end
      local first, second, third = ask(forth), ask(back), ask(forth)
      assert.same(first, third)
      for i = 1, 50 do assert.equal(first[i], second[51 - i]) end
   end)
end)

describe("jitter", function()
   local count = h.sanitized and 20000 or 100000
   local bins = 10

   -- Delays in [low, high) as shares of it, one a seed.
   local function shares(jitter, retry, low, high)
      local list = ask { ("draws %s 8 1e9 %d %d"):format(jitter, retry, count) }
      assert.equal(count, #list)
      for i, text in ipairs(list) do
         local delay = tonumber(text)
         if not (delay >= low and delay < high) then error("out of bounds: " .. text) end
         list[i] = (delay - low) / (high - low)
      end
      return list
   end

   local function chi_square(counts, expected)
      local sum = 0
      for _, seen in ipairs(counts) do sum = sum + (seen - expected) ^ 2 / expected end
      return sum
   end

   -- The bounds are those of one false alarm in a million; the seeds are fixed, so there is none.
   local function assert_uniform(list)
      local counts, sum = {}, 0
      for i = 1, bins do counts[i] = 0 end
      for _, share in ipairs(list) do
         local bin = math.floor(share * bins) + 1
         counts[bin] = counts[bin] + 1
         sum = sum + share
      end
      assert.is_true(math.abs(sum / #list - 0.5) < 5 / math.sqrt(12 * #list), "mean " .. sum / #list)
      local chi = chi_square(counts, #list / bins)
      assert.is_true(chi < 46, "chi-square " .. chi)
   end

   for _, case in ipairs { { "full", 0, 8 }, { "equal", 4, 8 }, { "decorrelated", 8, 24 } } do
      it("'" .. case[1] .. "' is uniform over tasks", function()
         for _, retry in ipairs(case[1] == "decorrelated" and { 1 } or { 1, 2, 9 }) do
            assert_uniform(shares(case[1], retry, case[2], case[3]))
         end
      end)
   end

   it("of one retry tells nothing of the next", function()
      local first, second = shares("full", 1, 0, 8), shares("full", 2, 0, 8)
      local counts, product = {}, 0
      for i = 1, bins * bins do counts[i] = 0 end
      for i = 1, count do
         local cell = math.floor(first[i] * bins) * bins + math.floor(second[i] * bins) + 1
         counts[cell] = counts[cell] + 1
         product = product + (first[i] - 0.5) * (second[i] - 0.5)
      end
      local correlation = product / count * 12
      assert.is_true(math.abs(correlation) < 5 / math.sqrt(count), "correlation " .. correlation)
      local chi = chi_square(counts, count / bins / bins)
      assert.is_true(chi < 180, "chi-square " .. chi) -- 99 degrees of freedom
   end)

   it("of one seed is uniform over its retries too", function()
      local commands = {}
      for retry = 1, 20000 do commands[retry] = ("delay fixed_delay full 1 60 1 %d 5"):format(retry) end
      local list = ask(commands)
      for i, text in ipairs(list) do list[i] = tonumber(text) end
      assert_uniform(list)
   end)

   it("'decorrelated' stays within base and longest delay, and comes near both", function()
      local list = ask { "draws decorrelated 1 30 6 20000" }
      local low, high = math.huge, 0
      for _, text in ipairs(list) do low, high = math.min(low, tonumber(text)), math.max(high, tonumber(text)) end
      assert.is_true(low >= 1 and low < 1.05, "low " .. low)
      assert.equal(30, high)
   end)
end)

describe("the retry budget", function()
   local function budget(text)
      return (ask { "budget " .. text }[1]:gsub(" $", ""))
   end

   it("gives a token a retry, and none when less than one is left", function()
      assert.equal("yes 1 yes 0 no 0", budget("2 0.2 take take take"))
      assert.equal("no 0.5", budget("0.5 0 take"))
      assert.equal("no 0", budget("0 1 take"))
   end)

   it("is refilled by successes, and never above its tokens", function()
      assert.equal("yes 1 1.2 1.4 yes 0.4 0.6 0.8 1 yes 0",
         budget("2 0.2 take success success take success success success take"))
      assert.equal("3 3", budget("3 5 success success"))
   end)

   it("gives a token for ten tenths", function()
      assert.equal("yes 0 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1 yes 0", budget("1 0.1 take" .. (" success"):rep(10) ..
         " take"))
   end)

   it("keeps what is left in proportion when a profile changes it", function()
      assert.equal("yes 3 30 yes 29 29.5", budget("4 0.2 take change=40,0.5 take success"))
      assert.equal("yes 3 0 no 0", budget("4 0.2 take change=0,1 take"))
      assert.equal("0 5 yes 4", budget("0 0 success change=5,1 take"))
   end)

   it("fails no job when it has no end", function()
      assert.equal("yes inf inf yes inf", budget("inf 1 take success take"))
   end)
end)
