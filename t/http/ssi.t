ssi: commands in pages.

=== TEST 1: echo, set, encodings, errors
--- config
    location /t { ssi on; default_type text/html; root html; }
--- user_files
>>> t/a.html
[<!--#set var="x" value="<$arg_q>" --><!--#echo var="x" -->|<!--#echo var="x" encoding="none" -->|<!--#echo var="no" -->|<!--#echo var="no" default="-" -->|<!--#nonsense -->|<!--#config errmsg="!" --><!--#include -->]
--- request
GET /t/a.html?q=1
--- response_body
[&lt;1&gt;|<1>|(none)|-|[an error occurred while processing the directive]|!]
--- error_log
invalid SSI command: "nonsense"


=== TEST 2: conditions
--- config
    location /t { ssi on; default_type text/html; root html; }
--- user_files
>>> t/a.html
<!--#if expr="$arg_q = one" -->1<!--#elif expr="$arg_q = /^t(.*)/" -->2<!--#echo var="1" --><!--#elif expr="$arg_q" -->other<!--#else -->nothing<!--#endif -->.
--- request eval
["GET /t/a.html?q=one", "GET /t/a.html?q=two", "GET /t/a.html?q=three", "GET /t/a.html?q=x", "GET /t/a.html"]
--- response_body eval
["1.\n", "2wo.\n", "2hree.\n", "other.\n", "nothing.\n"]


=== TEST 3: includes in their places, relative and absolute
--- config
    location /t { ssi on; default_type text/html; root html; }
    location = /slow { content_by_lua_block { ngx.sleep(0.01); ngx.print("slow") } }
--- user_files
>>> t/a.html
a<!--#include virtual="/slow" -->b<!--#include virtual="b.html?x=1" -->c
>>> t/b.html
[<!--#echo var="args" -->]
--- request
GET /t/a.html?y=2
--- response_body
aslowb[x=1]
c


=== TEST 4: an include into a variable, and stubs
--- config
    location /t { ssi on; default_type text/html; root html; }
    location = /v { return 200 "value"; }
    location = /empty { return 200 ""; }
--- user_files
>>> t/a.html
<!--#block name="s" -->stub <!--#echo var="x" --><!--#endblock --><!--#include virtual="/v" set="x" -->[<!--#echo var="x" -->] [<!--#include virtual="/empty" stub="s" -->] [<!--#include virtual="/v" stub="s" -->] [<!--#include virtual="/none" stub="s" -->]
--- request
GET /t/a.html
--- response_body
[value] [stub <!--#echo var="x" -->] [value] [stub <!--#echo var="x" -->]
--- no_error_log
[alert]


=== TEST 5: waiting for an include
--- config
    location /t { ssi on; default_type text/html; root html; }
    location = /slow { content_by_lua_block { ngx.sleep(0.01); ngx.print("slow") } }
--- user_files
>>> t/a.html
a<!--#include virtual="/slow" wait="yes" -->b<!--#include virtual="/slow" -->c
--- request
GET /t/a.html
--- response_body
aslowbslowc


=== TEST 6: other types stay as they are, headers that no longer hold go
--- config
    location /t { ssi on; root html; types { text/html html; text/plain txt; } }
--- user_files
>>> t/a.txt
<!--#echo var="x" -->
>>> t/a.html
<!--#echo var="x" -->
--- request eval
["GET /t/a.txt", "GET /t/a.html"]
--- response_headers eval
["Content-Length: 22", "!Last-Modified"]
--- response_body eval
["<!--#echo var=\"x\" -->\n", "(none)\n"]


=== TEST 7: an endless inclusion ends
--- config
    location /t { ssi on; default_type text/html; root html; }
--- user_files
>>> t/a.html
x<!--#include virtual="/t/a.html" -->
--- request
GET /t/a.html
--- response_body_like: ^x{50}
