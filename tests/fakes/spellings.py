"""Spellings of URLs that no tool may reach, whatever the operator allows of the internet."""

PORT = 8099
"""A port that is allowed."""

HOSTS = """
127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 017700000001 0177.0.0.1 0x7f.0.0.1 127.000.000.001
127.0.0.1. 0 0.0.0.0 0x0 0x 1. 127.0.0.0x1 localhost LOCALHOST localhost. foo.localhost a.local printer
db.internal 10.0.0.1 172.16.0.1 192.168.1.1 100.64.0.1 198.18.0.1 192.0.0.192 192.88.99.1 224.0.0.1
255.255.255.255 240.0.0.1 169.254.169.254 169.254.170.2 100.100.100.200 metadata.google.internal
kubernetes.default.svc kubernetes.default.svc.cluster.local kubernetes.default.svc.cluster.local. [::1]
[0:0:0:0:0:0:0:1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [64:ff9b::127.0.0.1]
[64:ff9b:1::7f00:1] [2002:7f00:1::] [fe80::1] [fe80::1%25lo] [fe80::1%lo] [fc00::1] [fd00:ec2::254]
[ff02::1] [2001:0:7f00:1::] [::ffff:0:127.0.0.1] [v1.x] [127.0.0.1] [::1 ::1 [::1]x
example.com@127.0.0.1 example.com:80@127.0.0.1 user:pw@public.example.com @public.example.com
127.0.0.1%2eexample.com 127.0.0.1%00.example.com %6cocalhost public.example.com%00 a..b -a.example.com
a-.example.com a_b.example.com .example.com * ① ①②⑦.⓪.⓪.① 127。0。0。1 127\uff0e0\uff0e0\uff0e1 ⓛocalhost
loc\u00adalhost \u202e1.0.0.721 rebind.example.com private.example.com mixed.example.com
none.example.com six.example.com mapped.example.com many.example.com
"""

URLS = [
    *(f"http://{host}:{PORT}/" for host in HOSTS.split()),
    f"http://127.0.0.1:{PORT}#@example.com/", f"http://127.0.0.1:{PORT}\\@example.com/",
    f"http://public.example.com\\.x:{PORT}/", f"http://127.0.0.1:{PORT}?@example.com/",
    f"http://public.example.com:{PORT}/\r\nX-Injected: 1", f"http://public.example.com:{PORT}/a\nHost: b",
    f"http://public.example.com:{PORT}/\x00", f"http://public.example.com:{PORT}/ b",
    f" http://public.example.com:{PORT}/", f"\thttp://public.example.com:{PORT}/",
    f"http://public.example.com\t:{PORT}/", f"http://public.example.com:{PORT}/\u2028",
    f"http://public.example.com:{PORT}/" + "a" * 5000, "http://public.example.com:22/",
    "http://public.example.com:0/", "http://public.example.com:99999/", "http://public.example.com:/x:1@",
    f"http://public.example.com:+{PORT}/", f"http://public.example.com:{PORT}x/",
    "http://public.example.com:\u0668\u0660/", "https://", "http://", "http:///127.0.0.1/",
    "http:/127.0.0.1/", "http:127.0.0.1", "//127.0.0.1/", "127.0.0.1", "", "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL", "ftp://127.0.0.1/", "dict://127.0.0.1:11211/",
    "unix:///run/x.sock", "http+unix://%2frun%2fx.sock/", "jar:http://127.0.0.1!/", "data:text/plain,x",
    "ws://public.example.com/", "view-source:http://127.0.0.1/", "hTTp:\\\\127.0.0.1\\",
]  # fmt: skip
