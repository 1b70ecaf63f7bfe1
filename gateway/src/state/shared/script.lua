-- Writes what one process has spent, and answers what it asks for, as one step.
--
-- KEYS[1]: the number of the process's newest batch. KEYS[2..]: a hash for each account and period, with one field for
-- each process (what it has spent, money set aside included) and `total`, their sum. Amounts are whole nano-USD, which
-- Lua's numbers hold exactly up to nine million USD.
-- ARGV: the process, the batch's number; for each hash the process's amount and the seconds the hash is kept; for each
-- wish its amount, the count of its budgets, and for each of these the hash's place in KEYS and the budget's amount.
-- Answers false for a batch that is older than one that was written; else for each wish 0 or the budgets that are
-- exceeded as bits, and for each hash what the other processes have spent.
local writer, number = ARGV[1], tonumber(ARGV[2])
if number <= tonumber(redis.call('GET', KEYS[1]) or '0') then
  return false
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', 2678400)
local at = 3
local function take()
  at = at + 1
  return tonumber(ARGV[at - 1])
end
local own, others, known, keep = {}, {}, {}, {}
for idx = 2, #KEYS do
  local found = redis.call('HMGET', KEYS[idx], 'total', writer)
  known[idx] = found[2]
  own[idx] = take()
  others[idx] = math.max(tonumber(found[1] or '0') - tonumber(found[2] or '0'), 0)
  keep[idx] = ARGV[at]
  at = at + 1
end
local answer = {}
while at <= #ARGV do
  local amount, count = take(), take()
  local places, exceeded = {}, 0
  for line = 1, count do
    local place, most = take(), take()
    places[line] = place
    if own[place] + others[place] + amount > most then
      exceeded = exceeded + 2 ^ (line - 1)
    end
  end
  if exceeded == 0 then
    for _, place in ipairs(places) do
      own[place] = own[place] + amount
    end
  end
  answer[#answer + 1] = exceeded
end
for idx = 2, #KEYS do
  -- A refused wish of a process that has spent nothing leaves no trace.
  if known[idx] or own[idx] > 0 then
    local total = string.format('%.0f', own[idx] + others[idx])
    redis.call('HSET', KEYS[idx], 'total', total, writer, string.format('%.0f', own[idx]))
    redis.call('EXPIRE', KEYS[idx], keep[idx])
  end
  answer[#answer + 1] = others[idx]
end
return answer
