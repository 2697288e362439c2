How many connections and requests there are and were.

=== TEST 1: the page
--- config
    location / { stub_status; }
--- request eval
["GET /", "GET /", "POST /"]
--- error_code eval
[200, 200, 405]
--- response_body_like eval
["^Active connections: \\d+ \nserver accepts handled requests\n \\d+ \\d+ \\d+ \nReading: 0 Writing: \\d+ Waiting: \\d+ \n\$", "Active", "405"]
