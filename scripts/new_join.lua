-- join two kinds of files by a key: each order with the name of its customer
--
-- Run it:              lmr run @FILE@
-- It reads customers.csv (id,name) and orders.csv (id,customer,amount); change the names, columns and formats to yours.
-- The job API on a page: lmr help job

local mr = require "mr"

return mr.job {
   job_name = "@NAME@",

   -- Each kind of file has a map of its own. The second element of the key brings customers before their orders.
   input_files = {
      {
         path = "customers.csv", input = "csv",
         map = function(_, row, emit) emit({ row.id, 0 }, row.name) end,
      },
      {
         path = "orders.csv", input = "csv",
         map = function(_, row, emit) emit({ row.customer, 1 }, row.amount) end,
      },
   },

   -- Sorted by the whole key, grouped by its first element: one call for each customer.
   group_by = 1,
   reduce = function(customer, values, emit)
      local name = "?"    -- orders of a customer that is not known
      for value, key in values do
         if key[2] == 0 then
            name = value
         else
            emit(customer, { name, value })
         end
      end
   end,

   output = "tsv",
}
