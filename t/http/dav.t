dav_methods: files put, removed, copied, moved.

=== TEST 1: PUT makes a file, then changes it
--- config
    location /d/ { root html; dav_methods PUT DELETE; create_full_put_path on; dav_access group:rw all:r; }
--- request eval
["PUT /d/x/a\nhello", "GET /d/x/a", "PUT /d/x/a\nother", "GET /d/x/a", "DELETE /d/x/a", "GET /d/x/a"]
--- error_code eval
[201, 200, 204, 200, 204, 404]


=== TEST 2: what cannot be put
--- config
    location /d/ { root html; dav_methods PUT; }
--- request eval
["PUT /d/\nx", "PUT /d/no/a\nx", "DELETE /d/a"]
--- error_code eval
[409, 500, 405]
--- user_files
>>> d/a
a


=== TEST 3: collections
--- config
    location /d/ { root html; dav_methods MKCOL DELETE PUT; min_delete_depth 2; }
--- user_files
>>> d/a
a
--- request eval
["MKCOL /d/c", "MKCOL /d/c/", "MKCOL /d/c/", "MKCOL /d/x/y/", "DELETE /d/c", "DELETE /d/c/", "DELETE /d/"]
--- error_code eval
[409, 201, 405, 409, 409, 204, 409]


=== TEST 4: COPY
--- config
    location /d/ { root html; dav_methods COPY; }
--- user_files
>>> d/a
a
>>> d/t/b
b
--- more_headers
Destination: /d/z
--- request eval
["COPY /d/a", "GET /d/z", "COPY /d/none", "COPY /d/t/"]
--- error_code eval
[204, 200, 404, 409]


=== TEST 5: MOVE of a tree, and what must not be overwritten
--- config
    location /d/ { root html; dav_methods MOVE COPY; }
--- user_files
>>> d/t/b
b
--- more_headers
Destination: /d/u/
Overwrite: F
--- request eval
["COPY /d/t/", "GET /d/u/b", "COPY /d/t/", "MOVE /d/none/"]
--- error_code eval
[201, 200, 412, 412]


=== TEST 6: wrong headers
--- config
    location /d/ { root html; dav_methods COPY DELETE; }
--- user_files
>>> d/a
a
--- more_headers
Depth: 2
Destination: http://elsewhere/d/b
--- request eval
["COPY /d/a", "DELETE /d/a"]
--- error_code eval
[400, 400]
