-- Ends what lib.lua begins: does it with each lock that is left. An error concerns the lock that met it, and
-- says whether something had been written. It is a string in the reply, and nothing else is: go-redis stops in
-- the middle of a reply at an error that it has a type for (OOM, NOPERM), and takes the rest for later answers.
for _, i in ipairs(rest) do
  wrote = false
  local ok, reply = pcall(one, i)
  if not ok then
    reply = type(reply) == 'table' and reply.err or tostring(reply)
    if wrote then reply = 'HALFWAY ' .. reply end
  end
  out[i] = reply
end
return out
