The set-misc module.

=== TEST 1: escaping and quoting
--- config
    location /t {
        set_escape_uri $a "a b/é";
        set_unescape_uri $b "a+b%20c";
        set_quote_sql_str $c "it's\n";
        set_quote_json_str $d 'say "x"';
        set_quote_pgsql_str $e "it's";
        echo "$a|$b|$c|$d|$e";
    }
--- request
GET /t
--- response_body
a%20b%2F%C3%A9|a b c|'it\'s\n'|"say \"x\""|E'it\'s'


=== TEST 2: encodings and digests
--- config
    location /t {
        set_encode_base64 $a hello;
        set_decode_base64 $b aGVsbG8=;
        set_encode_hex $c hi;
        set_decode_hex $d 6869;
        set_encode_base32 $e hello;
        set_md5 $f hello;
        set_sha1 $g hello;
        echo "$a $b $c $d $e";
        echo "$f $g";
    }
--- request
GET /t
--- response_body
aGVsbG8= hello 6869 hi d1imor3f
5d41402abc4b2a76b9719d911017c592 aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d


=== TEST 3: values
--- config
    location /t {
        set $empty "";
        set_if_empty $empty filled;
        set $full x;
        set_if_empty $full filled;
        set_random $r 3 3;
        set_hashed_upstream $h group key;
        echo "$empty $full $r";
    }
--- http_config
    upstream one { server 127.0.0.1:1; }
    upstream_list group one;
--- request
GET /t
--- response_body
filled x 3
