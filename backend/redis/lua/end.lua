-- Ends what lib.lua begins: does it with each lock that is left. An error concerns the lock that met it, and
-- says whether something had been written.
for _, i in ipairs(rest) do
  wrote = false
  local ok, reply = pcall(one, i)
  if not ok then
    local text = type(reply) == 'table' and reply.err or tostring(reply)
    reply = { err = wrote and 'HALFWAY ' .. text or text }
  end
  out[i] = reply
end
return out
