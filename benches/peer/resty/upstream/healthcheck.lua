-- The distribution's packages have neither ngx.upstream nor the health check library, so the
-- peer renders a page of the same shape from a fixed list. It does less than the library would.
local shared = ngx.shared
local groups = { "one", "two", "three" }
local peers = { { name = "127.0.0.1:8081", id = 0 } }

local function section(out, group, kind, mark)
    out[#out + 1] = "    " .. kind .. " Peers\n"
    local dict = shared.healthcheck
    for _, peer in ipairs(peers) do
        local down = dict:get("d:" .. group .. ":" .. mark .. peer.id)
        out[#out + 1] = "        " .. peer.name .. (down and " DOWN\n" or " UP\n")
    end
end

local function status_page()
    local out = {}
    for _, group in ipairs(groups) do
        out[#out + 1] = "Upstream " .. group .. " (NO checkers)\n"
        section(out, group, "Primary", "p")
        section(out, group, "Backup", "b")
        out[#out + 1] = "\n"
    end
    return table.concat(out)
end

return { status_page = status_page }
