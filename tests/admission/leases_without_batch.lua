-- One turn of a gateway's conversation with Redis: what has changed in that process goes in, what it needs to know
-- comes out. A turn is atomic. docs/capacity.md tells the whole story, `leases.py` is the other end.
--
-- This is the script as it was before it knew of batch work, for test_versions.py. It is not to be changed.
--
-- KEYS[1]  what every key begins with
-- ARGV[1]  JSON {process, lease, run, all, bye, names: {NAME: PLACES}, changes: [CHANGE ...]}
--   process  the caller's id, which has no dot        lease  milliseconds
--   all      the changes are everything that the process holds and waits for: what else it had is dropped
--   bye      the process ends: everything that it had is dropped
--   CHANGE   {ask: TICKET, name, tenant, weight, room, since?}   wants a place, and has waited since then
--            {hold: TICKET, name, tenant}                        has a place
--            {leave: TICKET, name, tenant, stay?}                has none and wants none; `stay` in seconds
--   A TICKET is PROCESS.NUMBER. Every change may be said again: a turn whose answer was lost is repeated.
-- Returns JSON {tickets: {TICKET: {held | refused | since, position?}}, granted: [TICKET ...], restored, next?,
--               names: {NAME: {places, taken, waiting, stay?}}}
--
-- Keys, behind the prefix; those with NAME for each semaphore:
--   epoch           hash    run (Redis' own id), last (turn of anybody), quiet (until when nothing is given out)
--   processes       zset    process -> when it counts as dead
--   names:PROCESS   set     the semaphores that it has to do with
--   wake:PROCESS    list    tickets that were given a place in somebody else's turn
--   definitions     hash    NAME -> JSON {places, ...}, which goes before what processes say
--   places:NAME     hash    process -> how many places there are as far as it knows; the fewest count
--   held:NAME       set     tickets
--   lines:NAME      hash    tenant -> its line in the fair queue, packed
--   line:N:NAME:TENANT zset ticket -> since; N is the length of NAME
--   left:NAME       hash    tenant -> when its next may start, of tenants of whom nobody waits any more
--   state:NAME      hash    stay, latest (`since` of the newest ticket), now and orders (of the fair queue)

local prefix = KEYS[1]
local request = cjson.decode(ARGV[1])
local me, lease = request.process, request.lease
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)

local MEMORY = 0.2
local DAY = 86400

local function whole(number)
  return string.format('%.0f', number)
end

local function get(key, field)
  return tonumber(redis.call('HGET', key, field) or nil)
end

local function owner(ticket)
  return string.match(ticket, '^(.-)%.')
end

-- ---- the fair queue, as fair_queue.py has it

local function line_key(name, tenant)
  return prefix .. 'line:' .. #name .. ':' .. name .. ':' .. tenant
end

local function start_of(line, index)
  return line.base + (line.given + index) / line.weight
end

local function before(line, index, start, order)
  local own = start_of(line, index)
  return own < start or (own == start and line.order < order)
end

local function save(name, tenant, line)
  redis.call('HSET', prefix .. 'lines:' .. name, tenant, cmsgpack.pack(line))
end

local function lines_of(name)
  local packed = redis.call('HGETALL', prefix .. 'lines:' .. name)
  local lines = {}
  for i = 1, #packed, 2 do
    lines[packed[i]] = cmsgpack.unpack(packed[i + 1])
  end
  return lines
end

local function line_of(name, tenant)
  local packed = redis.call('HGET', prefix .. 'lines:' .. name, tenant)
  return packed and cmsgpack.unpack(packed)
end

local function push(name, tenant, weight, ticket, since)
  local state = prefix .. 'state:' .. name
  local line = line_of(name, tenant)
  if not line then
    local base = math.max(get(state, 'now') or 0, get(prefix .. 'left:' .. name, tenant) or 0)
    redis.call('HDEL', prefix .. 'left:' .. name, tenant)
    line = {base = base, given = 0, weight = weight, order = redis.call('HINCRBY', state, 'orders', 1)}
    save(name, tenant, line)
  elseif line.weight ~= weight then
    line.base, line.given, line.weight = start_of(line, 0), 0, weight
    save(name, tenant, line)
  end
  redis.call('ZADD', line_key(name, tenant), whole(since), ticket)
end

-- After a ticket was taken out of a line.
local function shorter(name, tenant, line)
  if redis.call('EXISTS', line_key(name, tenant)) == 1 then
    return save(name, tenant, line)
  end
  redis.call('HDEL', prefix .. 'lines:' .. name, tenant)
  if redis.call('EXISTS', prefix .. 'lines:' .. name) == 1 then
    redis.call('HSET', prefix .. 'left:' .. name, tenant, string.format('%.17g', start_of(line, 0)))
  else
    redis.call('DEL', prefix .. 'left:' .. name)
    redis.call('HDEL', prefix .. 'state:' .. name, 'now', 'orders')
  end
end

local function remove(name, tenant, ticket)
  if redis.call('ZREM', line_key(name, tenant), ticket) == 1 then
    shorter(name, tenant, line_of(name, tenant))
  end
end

local function pop(name, lines)
  local first, line
  for tenant, other in pairs(lines) do
    if not line or before(other, 0, start_of(line, 0), line.order) then
      first, line = tenant, other
    end
  end
  redis.call('HSET', prefix .. 'state:' .. name, 'now', string.format('%.17g', start_of(line, 0)))
  line.given = line.given + 1
  local ticket = redis.call('ZPOPMIN', line_key(name, first))[1]
  shorter(name, first, line)
  if redis.call('EXISTS', line_key(name, first)) == 0 then
    lines[first] = nil
  end
  return ticket
end

local function position(name, tenant, ticket)
  local lines = lines_of(name)
  local own = lines[tenant]
  local index = redis.call('ZRANK', line_key(name, tenant), ticket)
  local start, ahead = start_of(own, index), 0
  for other, line in pairs(lines) do
    if other ~= tenant then
      local length = redis.call('ZCARD', line_key(name, other))
      local count = math.floor((start - line.base) * line.weight) - line.given
      count = math.min(math.max(count, 0), length)
      while count < length and before(line, count, start, own.order) do
        count = count + 1
      end
      while count > 0 and not before(line, count - 1, start, own.order) do
        count = count - 1
      end
      ahead = ahead + count
    end
  end
  return 1 + index + ahead
end

local function waiting(name, lines)
  local count = 0
  for tenant in pairs(lines) do
    count = count + redis.call('ZCARD', line_key(name, tenant))
  end
  return count
end

-- ---- semaphores

local touched = {}

local function places(name)
  local defined = redis.call('HGET', prefix .. 'definitions', name)
  if defined then
    return cjson.decode(defined).places
  end
  local fewest
  for _, said in ipairs(redis.call('HVALS', prefix .. 'places:' .. name)) do
    said = tonumber(said)
    fewest = fewest and math.min(fewest, said) or said
  end
  return fewest or 0
end

local function taken(name)
  return redis.call('SCARD', prefix .. 'held:' .. name)
end

local function mine(ticket, process)
  return string.sub(ticket, 1, #process + 1) == process .. '.'
end

-- Drop the tickets of a process, but for those in `keep`.
local function drop(process, keep)
  for _, name in ipairs(redis.call('SMEMBERS', prefix .. 'names:' .. process)) do
    local held = prefix .. 'held:' .. name
    for _, ticket in ipairs(redis.call('SMEMBERS', held)) do
      if mine(ticket, process) and not keep[ticket] then
        redis.call('SREM', held, ticket)
        touched[name] = true
      end
    end
    for tenant in pairs(lines_of(name)) do
      for _, ticket in ipairs(redis.call('ZRANGE', line_key(name, tenant), 0, -1)) do
        if mine(ticket, process) and not keep[ticket] then
          remove(name, tenant, ticket)
          touched[name] = true
        end
      end
    end
  end
end

local function forget(process)
  drop(process, {})
  for _, name in ipairs(redis.call('SMEMBERS', prefix .. 'names:' .. process)) do
    redis.call('HDEL', prefix .. 'places:' .. name, process)
    touched[name] = true
  end
  redis.call('DEL', prefix .. 'names:' .. process, prefix .. 'wake:' .. process)
  redis.call('ZREM', prefix .. 'processes', process)
end

-- ---- is this the Redis that knew everything a moment ago?

local epoch = prefix .. 'epoch'
local quiet = get(epoch, 'quiet') or 0
local last = get(epoch, 'last')
-- Where a service that is let does not allow INFO, an old memory is told by the silence before it alone.
local info = request.all and redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)')
local fresh = not last or (run and run ~= redis.call('HGET', epoch, 'run'))
local away = last and now - last > lease / 2 and redis.call('EXISTS', prefix .. 'processes') == 1
if fresh or away then
  -- Started anew, with no data or with old data, or out of everybody's reach for so long that leases may have run
  -- out whose holders hold on: nothing is given out until every one of them has had the time to say so.
  quiet = now + lease
  redis.call('HSET', epoch, 'quiet', whole(quiet))
end
if run then
  redis.call('HSET', epoch, 'run', run)
end
redis.call('HSET', epoch, 'last', whole(now))
quiet = quiet > now and quiet or nil

-- ---- the turn

for _, process in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'processes', '-inf', whole(now))) do
  if process ~= me then
    forget(process)
  end
end

local answer = {tickets = {}, granted = {}, names = {}, restored = 0}
local said = {}

local function ask(change)
  local name, tenant, ticket = change.name, change.tenant, change.ask
  if redis.call('SISMEMBER', prefix .. 'held:' .. name, ticket) == 1 then
    return {held = true}
  end
  local since = redis.call('ZSCORE', line_key(name, tenant), ticket)
  if not since then
    local lines = lines_of(name)
    local count = waiting(name, lines)
    if not change.since then
      if count == 0 and not quiet and taken(name) < places(name) then
        redis.call('SADD', prefix .. 'held:' .. name, ticket)
        return {held = true}
      end
      if count >= change.room then
        return {refused = true}
      end
    end
    local state = prefix .. 'state:' .. name
    since = change.since and tonumber(change.since) or math.max(micros, (get(state, 'latest') or 0) + 1)
    redis.call('HSET', state, 'latest', whole(math.max(since, get(state, 'latest') or 0)))
    push(name, tenant, change.weight, ticket, since)
    since = whole(since)
  end
  if change.since then
    return {since = change.since}
  end
  return {since = since, position = position(name, tenant, ticket)}
end

local function hold(change)
  remove(change.name, change.tenant, change.hold)
  answer.restored = answer.restored + redis.call('SADD', prefix .. 'held:' .. change.name, change.hold)
end

local function leave(change)
  if redis.call('SREM', prefix .. 'held:' .. change.name, change.leave) == 0 then
    return remove(change.name, change.tenant, change.leave)
  end
  if change.stay then
    local state = prefix .. 'state:' .. change.name
    local usual = get(state, 'stay')
    usual = usual and usual + MEMORY * (change.stay - usual) or change.stay
    redis.call('HSET', state, 'stay', string.format('%.17g', usual))
  end
end

if request.bye then
  forget(me)
else
  redis.call('ZADD', prefix .. 'processes', whole(now + lease), me)
  for name, known in pairs(request.names) do
    redis.call('SADD', prefix .. 'names:' .. me, name)
    redis.call('HSET', prefix .. 'places:' .. name, me, whole(known))
    touched[name] = true
  end
  for _, change in ipairs(request.changes) do
    if change.hold then
      said[change.hold] = true
      hold(change)
    elseif change.leave then
      leave(change)
    end
  end
  if request.all then
    for _, change in ipairs(request.changes) do
      if change.ask then
        said[change.ask] = true
      end
    end
    drop(me, said)
  end
  -- Last, so that a place which was given back in the same turn is there, and after everybody who waits already.
  for _, change in ipairs(request.changes) do
    if change.ask then
      answer.tickets[change.ask] = ask(change)
    end
  end
end

-- Give out what is free. Whoever waits in another process finds it in its list.
for name in pairs(touched) do
  local lines = lines_of(name)
  while not quiet and next(lines) and taken(name) < places(name) do
    local ticket = pop(name, lines)
    redis.call('SADD', prefix .. 'held:' .. name, ticket)
    if mine(ticket, me) then
      table.insert(answer.granted, ticket)
    else
      local wake = prefix .. 'wake:' .. owner(ticket)
      redis.call('RPUSH', wake, ticket)
      redis.call('PEXPIRE', wake, lease)
    end
  end
  if request.names[name] then
    local state = prefix .. 'state:' .. name
    answer.names[name] = {
      places = places(name),
      taken = taken(name),
      waiting = waiting(name, lines),
      stay = get(state, 'stay'),
    }
    redis.call('EXPIRE', state, DAY)
    redis.call('EXPIRE', prefix .. 'places:' .. name, DAY)
  end
end

-- When something may be given out though nobody gives anything back.
if quiet then
  answer.next = quiet - now
else
  local dies = redis.call('ZRANGE', prefix .. 'processes', 0, 0, 'WITHSCORES')[2]
  answer.next = dies and math.max(tonumber(dies) - now, 0)
end
return cjson.encode(answer)
