-- Prints what side_by_side.py reads: requests, microseconds, and requests that went wrong.
done = function(summary)
    local e = summary.errors
    local bad = e.connect + e.read + e.write + e.status + e.timeout
    io.write(string.format("COUNT %d %d %d\n", summary.requests, summary.duration, bad))
end
