-- One request of 100 ms in 1,000 fast ones, on whichever connection is next.
local count = 0
local fast, slow

function init(args)
  fast = wrk.format("GET", "/hello")
  slow = wrk.format("GET", "/slow")
end

function request()
  count = count + 1
  if count % 1000 == 500 then return slow end
  return fast
end
