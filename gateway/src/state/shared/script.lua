-- Updates the spending of one process and reserves money, as one atomic step.
--
-- KEYS[1]: the number of the process's newest batch. KEYS[2..]: for each budget and period, a hash with one field per
-- process (its spending, reservations included) and the field `total`, their sum. Amounts are whole nano-USD, which Lua's
-- numbers represent exactly up to nine million USD.
-- ARGV: the process's id; the batch's number; for each hash the process's amount and the hash's time to live in seconds;
-- for each request its amount, the number of its budgets, and for each of these the index of the hash in KEYS and the
-- budget's limit.
-- Returns the number of the newest batch before this one. If it is not below the batch's number, nothing is changed.
-- Otherwise it is followed by, for each request, the exceeded budgets as bits (0: the money is reserved), and for each
-- hash the spending of the other processes.
local process, number = ARGV[1], tonumber(ARGV[2])
local newest = tonumber(redis.call('GET', KEYS[1]) or '0')
if number <= newest then
  return {newest}
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', 2678400)
local reply = {newest}
local position = 3
local function next_number()
  position = position + 1
  return tonumber(ARGV[position - 1])
end
local own, others, is_known, ttl = {}, {}, {}, {}
for idx = 2, #KEYS do
  local saved = redis.call('HMGET', KEYS[idx], 'total', process)
  is_known[idx] = saved[2]
  own[idx] = next_number()
  others[idx] = math.max(tonumber(saved[1] or '0') - tonumber(saved[2] or '0'), 0)
  ttl[idx] = next_number()
end
while position <= #ARGV do
  local amount, count = next_number(), next_number()
  local indices, exceeded = {}, 0
  for budget = 1, count do
    local idx, limit = next_number(), next_number()
    indices[budget] = idx
    if own[idx] + others[idx] + amount > limit then
      exceeded = exceeded + 2 ^ (budget - 1)
    end
  end
  if exceeded == 0 then
    for _, idx in ipairs(indices) do
      own[idx] = own[idx] + amount
    end
  end
  reply[#reply + 1] = exceeded
end
for idx = 2, #KEYS do
  -- A refused request of a process that has spent nothing creates no hash.
  if is_known[idx] or own[idx] > 0 then
    local total = string.format('%.0f', own[idx] + others[idx])
    redis.call('HSET', KEYS[idx], 'total', total, process, string.format('%.0f', own[idx]))
    redis.call('EXPIRE', KEYS[idx], ttl[idx])
  end
  reply[#reply + 1] = others[idx]
end
return reply
