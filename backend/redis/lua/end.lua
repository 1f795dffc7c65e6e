-- Ends what lib.lua begins: says in an error whether something had been written.
end)
if ok then return reply end
local text = type(reply) == 'table' and reply.err or tostring(reply)
return { err = wrote and 'HALFWAY ' .. text or text }
