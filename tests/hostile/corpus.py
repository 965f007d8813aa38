"""Hostile programs. Each prints `ESCAPED ...` where it got through; the host looks at the rest.

In the code {canary} is a directory outside, of the job's own user, {victim} a process of that user outside,
{port} and {udp} are where servers of the host listen.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

PREFACE: Final = """
import os,sys,ctypes,socket,time,signal,resource,errno
libc=ctypes.CDLL(None,use_errno=True); libc.syscall.restype=ctypes.c_long
X86=os.uname().machine=='x86_64'
def call(name,number,*a):
    if not X86: return
    r=libc.syscall(number,*a)
    print(('ESCAPED' if r>=0 else 'held'),name,r,flush=True)
def tries(name,f):
    try: r=f(); print('ESCAPED',name,repr(r)[:80],flush=True)
    except BaseException as e: print('held',name,type(e).__name__,str(e)[:80],flush=True)
CANARY,VICTIM,PORT,UDP='{canary}',{victim},{port},{udp}
"""


@dataclass(frozen=True)
class Attack:
    """One program. `own`: where it has namespaces, what it gets at is its own."""

    name: str
    code: str
    seconds: float = 3.0
    own: bool = False
    shell: bool = False


def _python(name: str, code: str, seconds: float = 3.0, *, own: bool = False) -> Attack:
    return Attack(name, PREFACE + code, seconds, own)


def _shell(name: str, code: str, seconds: float = 2.0) -> Attack:
    return Attack(name, code, seconds, shell=True)  # noqa: S604 - the field of an attack


def _lines(*lines: str) -> str:
    return "\n".join(lines)


RESOURCES: Final = (
    _python(
        "fork bomb",
        _lines(
            "for _ in range(10000):",
            "    try: os.fork()",
            "    except OSError: time.sleep(0.01)",
        ),
        1.5,
    ),
    _shell("fork bomb of a shell", "b() { b | b & }; b; sleep 9", 1.5),
    _shell("endless children", "while :; do sleep 100 & done", 1.5),
    _python("ten gigabytes", "tries('alloc',lambda: len(b'x'*(10<<30)))"),
    _python(
        "many small blocks",
        _lines(
            "a=[]",
            "try:",
            "    while 1: a.append(bytearray(1<<20))",
            "except MemoryError: print('held',len(a))",
        ),
    ),
    _python(
        "memory of many processes",
        _lines(
            "for i in range(40):",
            "    try:",
            "        if os.fork()==0:",
            "            b=b'x'*(150<<20); time.sleep(9); os._exit(0)",
            "    except OSError: pass",
            "time.sleep(9)",
        ),
    ),
    _python(
        "shared memory of many mappings",
        _lines(
            "import mmap",
            "keep=[]",
            "try:",
            "    while 1:",
            "        m=mmap.mmap(-1,16<<20); m.write(b'x'*(16<<20)); keep.append(m)",
            "except (MemoryError,OSError) as e: print('held',len(keep))",
        ),
    ),
    _python(
        "shared memory of which one page stays mapped",
        _lines(
            "libc.mmap.restype=ctypes.c_void_p; libc.munmap.argtypes=[ctypes.c_void_p,ctypes.c_size_t]",
            "libc.mmap.argtypes=[ctypes.c_void_p,ctypes.c_size_t]+[ctypes.c_int]*3+[ctypes.c_long]",
            "S=64<<20; n=0",
            "def hide(flags,fd):",
            "    p=libc.mmap(None,S,3 if fd<0 else 1,flags,fd,0)",
            "    if p==2**64-1: raise OSError(ctypes.get_errno(),'refused')",
            "    ctypes.string_at(p,S); libc.munmap(p,S-4096)",
            "tries('anonymous',lambda: hide(0x21,-1)); tries('huge',lambda: hide(0x40022,-1))",
            "tries('zero',lambda: hide(1,os.open('/dev/zero',os.O_RDONLY)))",
        ),
    ),
    _python(
        "memory of a process whose first thread has ended",
        _lines(
            "import threading",
            "def hold():",
            "    time.sleep(0.1); b=b'x'*(150<<20); time.sleep(1.5); print('ESCAPED',len(b),flush=True)",
            "    os._exit(0)",
            "try:",
            "    for i in range(7):",
            "        if os.fork()==0: break",
            "    else: time.sleep(2)",
            "except OSError: sys.exit()",
            "threading.Thread(target=hold).start(); libc.pthread_exit(None)",
        ),
    ),
    _python("endless loop", "while 1: pass", 0.7),
    _python(
        "endless loop that ignores every signal",
        _lines(
            "for s in range(1,64):",
            "    try: signal.signal(s,signal.SIG_IGN)",
            "    except Exception: pass",
            "while 1: pass",
        ),
        0.7,
    ),
    _python("sleep for ever", "time.sleep(1e6)", 0.7),
    _python(
        "two forks and a session of its own",
        _lines(
            "if os.fork()==0:",
            "    os.setsid()",
            "    if os.fork()==0:",
            "        for f in (0,1,2): os.close(f)",
            "        time.sleep(60)",
            "    os._exit(0)",
            "print('parent done')",
        ),
    ),
    _shell("a survivor by nohup", "setsid nohup sleep 61 >/dev/null 2>&1 & echo done"),
    _shell(
        "a survivor that traps",
        "(trap '' TERM HUP INT; setsid sh -c 'trap \"\" TERM; sleep 62' &) ; echo done",
    ),
    _python(
        "ten thousand threads",
        _lines(
            "import threading",
            "n=0",
            "try:",
            "    for i in range(10000): threading.Thread(target=time.sleep,args=(9,),daemon=True).start(); n+=1",  # noqa: E501
            "except RuntimeError: pass",
            "print('held' if n<2000 else 'ESCAPED','threads',n); sys.stdout.flush(); os._exit(0)",
        ),
        6.0,
    ),
    _python("a gigabyte of output", "b='x'*(1<<20)\nfor _ in range(1024): sys.stdout.write(b)", 6.0),
    _python("a gigabyte of errors", "b='x'*(1<<20)\nfor _ in range(1024): sys.stderr.write(b)", 6.0),
    _python("a gigabyte of answers", "b=b'x'*(1<<20)\nfor _ in range(1024): os.write(3,b)", 6.0),
    _python(
        "output held open by a child",
        "if os.fork()==0:\n    time.sleep(60)\nprint('parent done')",
    ),
    _python(
        "one file that fills the disk",
        _lines(
            "n=0",
            "try:",
            "    f=open('big','wb')",
            "    while n<(256<<20): n+=f.write(b'x'*(1<<20))",
            "except OSError as e: print('held',e)",
            "print('ESCAPED' if n>(20<<20) else 'held',n)",
        ),
    ),
    _python(
        "many files that fill the disk",
        _lines(
            "n=0",
            "try:",
            "    for i in range(100):",
            "        with open(f'b{i}','wb') as f: n+=f.write(b'x'*(8<<20))",
            "except OSError as e: print('held',e)",
        ),
    ),
    _python(
        "a deleted file that fills the disk",
        _lines(
            "kept=[]",
            "try:",
            "    for i in range(40):",
            "        f=open('gone','wb'); kept.append(f); os.unlink('gone'); f.write(b'x'*(15<<20)); f.flush()",  # noqa: E501
            "except OSError as e: print('held',e)",
            "time.sleep(0.5)",
        ),
    ),
    _python(
        "mapped files without names that fill the disk",
        _lines(
            "import mmap",
            "libc.mmap.argtypes=[ctypes.c_void_p,ctypes.c_size_t]+[ctypes.c_int]*3+[ctypes.c_long]",
            "for i in range(30):",
            "    with open('gone','wb') as f: f.write(b'x'*(12<<20))",
            "    with open('gone','rb') as f: libc.mmap(None,4096,1,2,f.fileno(),0)",
            "    os.unlink('gone')",
            "time.sleep(1.5); print('ESCAPED',flush=True)",
        ),
        6.0,
    ),
    _python(
        "a million files",
        _lines(
            "n=0",
            "try:",
            "    for i in range(1000000): os.close(os.open(f'f{i}',os.O_CREAT|os.O_WRONLY)); n+=1",
            "except OSError as e: print('held',e)",
            "print('ESCAPED' if n>200000 else 'held',n)",
        ),
        6.0,
    ),
    _python(
        "a million links to one file",
        _lines(
            "open('f','w').close()",
            "try:",
            "    for i in range(1000000): os.link('f',f'l{i}')",
            "except OSError as e: print('held',e)",
        ),
        6.0,
    ),
    _python(
        "directories in directories",
        _lines(
            "try:",
            "    for i in range(20000): os.mkdir('d'); os.chdir('d')",
            "except OSError as e: print('held',e)",
        ),
    ),
    _python(
        "directories that nobody may look into",
        "os.mkdir('a'); os.mkdir('a/b',0); os.chdir('a')\nfor i in range(50): os.mkdir(f'd{i}',0)\ntime.sleep(1)",  # noqa: E501
    ),
    _python(
        "a sparse file of a terabyte",
        "def f():\n    with open('s','wb') as x: x.truncate(1<<40)\n    return os.stat('s').st_size\ntries('sparse',f)",  # noqa: E501
    ),
    _python(
        "a bomb that unpacks itself",
        _lines(
            "import zipfile,io",
            "b=io.BytesIO()",
            "with zipfile.ZipFile(b,'w',zipfile.ZIP_DEFLATED) as z:",
            "    for i in range(8): z.writestr(f'z{i}',b'\\0'*(32<<20))",
            "tries('unzip',lambda: zipfile.ZipFile(b).extractall('.'))",
        ),
        6.0,
    ),
    _python(
        "memory as a file",
        _lines(
            "def f():",
            "    fd=os.memfd_create('m'); os.ftruncate(fd,1<<30)",
            "    return os.write(fd,b'x')",
            "tries('memfd',f)",
        ),
    ),
    _python(
        "memory in pipes",
        _lines(
            "import fcntl",
            "r,w=os.pipe()",
            "tries('pipe size',lambda: fcntl.fcntl(w,1031,1<<20))",
        ),
    ),
    _python(
        "higher limits",
        _lines(
            "for r in (resource.RLIMIT_AS,resource.RLIMIT_NPROC,resource.RLIMIT_FSIZE,resource.RLIMIT_CPU):",
            "    tries('setrlimit',lambda: resource.setrlimit(r,(resource.RLIM_INFINITY,)*2))",
        ),
    ),
    _python("deep recursion", "def f(): f()\nsys.setrecursionlimit(1<<30)\nf()"),
    _python("deep source", "compile('('*100000+')'*100000,'x','eval')"),
    _python("a hole in memory", "ctypes.string_at(0)"),
    _python("its own end", "os.kill(os.getpid(),9)"),
)

FILES: Final = (
    _python(
        "write outside",
        _lines(
            "for p in (CANARY+'/w','/var/tmp/w','/dev/shm/w','/usr/w','/etc/w','/w'):",
            "    tries('write '+p,lambda: open(p,'w').write('x'))",
        ),
    ),
    _python(
        "read the data of the kernel",
        "tries('read',lambda: open(CANARY+'/secret').read()); tries('list',lambda: os.listdir(CANARY))",
    ),
    _python(
        "read what is the system's",
        _lines(
            "for p in ('/etc/shadow','/etc/passwd','/root/.bashrc','/proc/1/environ','/proc/self/mountinfo',",
            "          '/var/run/secrets/kubernetes.io/serviceaccount/token','/proc/%d/environ'%VICTIM):",
            "    tries(p,lambda: open(p).read()[:9])",
        ),
        own=True,
    ),
    _python(
        "links out",
        _lines(
            "os.symlink(CANARY,'l'); tries('through link',lambda: open('l/secret').read())",
            "os.symlink('/etc/shadow','m'); tries('m',lambda: open('m').read())",
        ),
    ),
    _python("hard link out", "tries('link',lambda: os.link(CANARY+'/secret','h'))"),
    _python(
        "ways around by proc",
        _lines(
            "for p in ('/proc/self/root'+CANARY+'/secret','/proc/%d/root/etc/shadow'%VICTIM,",
            "          '/proc/%d/mem'%VICTIM,'/proc/%d/maps'%VICTIM,'/proc/self/cwd/../secret'):",
            "    tries(p,lambda: open(p,'rb').read(16))",
            "tries('cwd',lambda: os.listdir('/proc/%d/cwd'%VICTIM))",
            "tries('up',lambda: os.listdir('..'+'/..'*8+CANARY))",
        ),
    ),
    _python(
        "first process of the namespace",
        _lines(
            "def status(name): return open('/proc/1/status').read().split(name+':\\t')[1].split()[0]",
            "tries('capabilities',lambda: 1/int(status('CapEff'),16))",
            "tries('filter',lambda: 1/(status('Seccomp')!='2'))",
            "tries('descriptors',lambda: [os.open('/proc/1/fd/'+n,os.O_RDWR) for n in ('3','4','5','6','7')])",  # noqa: E501
            "tries('root',lambda: os.listdir('/proc/1/root/root'))",
            "tries('paths',lambda: open('/proc/1/cmdline').read().index('aios-sand'+'box'))",
            "tries('options',lambda: open('/proc/1/cmdline').read().index('--bi'+'nd'))",
        ),
    ),
    _python(
        "modes and owners outside",
        _lines(
            "for f in (lambda: os.chmod(CANARY+'/secret',0o777), lambda: os.chmod(CANARY,0),",
            "          lambda: os.chown(CANARY,1,1), lambda: os.utime(CANARY+'/secret',(1,1)),",
            "          lambda: os.setxattr(CANARY+'/secret','user.a',b'b')):",
            "    try: f()",
            "    except OSError: pass",
        ),
    ),
    _python(
        "truncate outside",
        _lines(
            "tries('truncate',lambda: os.truncate(CANARY+'/secret',0))",
            "tries('open',lambda: os.open(CANARY+'/secret',os.O_RDONLY|os.O_TRUNC))",
            "tries('neither',lambda: os.open(CANARY+'/secret',3|os.O_TRUNC))",
            "tries('rename',lambda: os.rename(CANARY+'/secret',CANARY+'/x'))",
        ),
    ),
    _python(
        "unlink outside",
        _lines(
            "tries('unlink',lambda: os.unlink(CANARY+'/secret'))",
            "tries('rename into',lambda: (open('r','w').close(),os.rename('r',CANARY+'/r')))",
            "tries('rename away',lambda: os.rename('.',CANARY+'/r'))",
        ),
    ),
    _python(
        "devices",
        _lines(
            "for p in ('/dev/mem','/dev/kmsg','/dev/sda','/dev/vda','/dev/tty','/dev/fuse','/dev/kvm',",
            "          '/dev/net/tun','/dev/loop-control','/dev/userfaultfd','/dev/vsock'):",
            "    tries(p,lambda: os.open(p,os.O_RDWR))",
        ),
    ),
    _python(
        "a device of its own",
        "import stat\ntries('mknod',lambda: os.mknod('d',0o600|stat.S_IFBLK,os.makedev(254,0)))",
    ),
    _python(
        "knobs of the system",
        _lines(
            "for p in ('/sys/kernel/uevent_helper','/proc/sys/kernel/core_pattern','/proc/sysrq-trigger',",
            "          '/proc/self/oom_score_adj','/sys/fs/cgroup/cgroup.procs'):",
            "    tries(p,lambda: open(p,'w').write('-1000'))",
        ),
        own=True,
    ),
    _python(
        "who is ended first",
        "tries('when memory is short',lambda: open('/proc/self/oom_score_adj','w').write('1000'))",
    ),
    _python(
        "a program for somebody else",
        _lines(
            "open('s','w').write('x')",
            "os.chmod('s',0o777)",
            "tries('setuid',lambda: os.chmod('s',0o4755) or 1/(os.stat('s').st_mode&0o4000))",
            "tries('made so',lambda: os.open('t',os.O_CREAT|os.O_WRONLY,0o4700))",
        ),
    ),
)

NETWORK: Final = (
    _python(
        "tcp",
        _lines(
            "tries('tcp',lambda: socket.create_connection(('127.0.0.1',PORT),2))",
            "tries('tcp6',lambda: socket.create_connection(('::1',PORT),2))",
        ),
    ),
    _python(
        "udp",
        _lines(
            "def f():",
            "    s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); return s.sendto(b'LEAK',('127.0.0.1',UDP))",  # noqa: E501
            "tries('udp',f)",
        ),
    ),
    _python("names", "tries('dns',lambda: socket.getaddrinfo('example.com',80))"),
    _python(
        "raw sockets",
        _lines(
            "tries('raw',lambda: socket.socket(socket.AF_INET,socket.SOCK_RAW,1))",
            "tries('ping',lambda: socket.socket(socket.AF_INET,socket.SOCK_DGRAM,1))",
        ),
    ),
    _python(
        "every family of sockets",
        _lines(
            "for family in range(46):",
            "    for kind in (1,2,3,5): tries(f'{family} {kind}',lambda: socket.socket(family,kind))",
        ),
    ),
    _python(
        "a unix socket",
        _lines(
            "def f(to):",
            "    s=socket.socket(socket.AF_UNIX); s.settimeout(2); s.connect(to); return s.recv(9)",
            "tries('path',lambda: f(CANARY+'/stream')); tries('abstract',lambda: f('\\0{abstract}'))",
        ),
    ),
    _python(
        "a pair of datagrams to a unix socket",
        _lines(
            "def f(to):",
            "    a,b=socket.socketpair(socket.AF_UNIX,socket.SOCK_DGRAM); return a.sendmsg([b'LEAK'],[],0,to)",  # noqa: E501
            "tries('path',lambda: f(CANARY+'/datagram')); tries('abstract',lambda: f('\\0{abstract}-datagram'))",  # noqa: E501
        ),
    ),
    _python(
        "a pair of packets to a unix socket",
        "tries('pair',lambda: socket.socketpair(socket.AF_UNIX,socket.SOCK_SEQPACKET))",
    ),
    _python(
        "a pair of streams to a unix socket",
        _lines(
            "a,b=socket.socketpair()",
            "tries('sendto',lambda: a.sendto(b'LEAK',CANARY+'/stream'))",
            "tries('connect',lambda: a.connect(CANARY+'/stream'))",
            "tries('bind',lambda: a.bind('here'))",
        ),
    ),
    _python(
        "listen",
        "def f():\n    s=socket.socket(); s.bind(('127.0.0.1',0)); s.listen(); return 1\ntries('listen',f)",
    ),
)

PROCESSES: Final = (
    _python(
        "signal the victim",
        _lines(
            "for s in (9,15,19): tries('kill',lambda: os.kill(VICTIM,s))",
            "call('tgkill',234,VICTIM,VICTIM,9); call('tkill',200,VICTIM,9)",
            "call('queue',129,VICTIM,9,ctypes.create_string_buffer(128))",
        ),
        own=True,
    ),
    _python("signal the parent", "tries('kill',lambda: os.kill(os.getppid(),9) if os.getppid()>1 else 1/0)"),
    _python(
        "signal everybody",
        "try: os.kill(-1,9)\nexcept OSError as e: print('held',e)\ntime.sleep(0.2)",
    ),
    _python("signal the group", "try: os.kill(0,9)\nexcept OSError as e: print('held',e)\ntime.sleep(0.2)"),
    _python(
        "a signal by a descriptor",
        _lines(
            "import fcntl",
            "a,b=socket.socketpair()",
            "def f():",
            "    fcntl.fcntl(a,fcntl.F_SETOWN,VICTIM); fcntl.fcntl(a,10,9)",
            "    fcntl.fcntl(a,fcntl.F_SETFL,fcntl.fcntl(a,fcntl.F_GETFL)|os.O_ASYNC); os.write(b.fileno(),b'x')",  # noqa: E501
            "try: f()",
            "except OSError as e: print('held',e)",
            "time.sleep(0.2)",
        ),
    ),
    _python(
        "a signal by the end of a child",
        "call('clone',56,0x8000|9,0,0,0,0); call('clone signal',56,9,0,0,0,0); time.sleep(0.2)",
    ),
    _python(
        "trace the victim",
        _lines(
            "call('ptrace',101,16,VICTIM,0,0); call('seize',101,0x4206,VICTIM,0,0)",
            "call('readv',310,VICTIM,0,0,0,0,0); call('pidfd',434,VICTIM,0)",
        ),
    ),
    _python(
        "limit the victim",
        _lines(
            "tries('prlimit',lambda: resource.prlimit(VICTIM,resource.RLIMIT_CPU,(1,1)))",
            "tries('affinity',lambda: os.sched_setaffinity(VICTIM,{0}))",
            "tries('renice',lambda: os.setpriority(os.PRIO_PROCESS,VICTIM,19))",
            "tries('priority',lambda: os.sched_setscheduler(0,os.SCHED_FIFO,os.sched_param(1)))",
        ),
    ),
    _python("io_uring", "call('io_uring_setup',425,8,ctypes.create_string_buffer(240))"),
    _python("bpf", "call('bpf',321,0,ctypes.create_string_buffer(128),72)"),
    _python("userfaultfd", "call('userfaultfd',323,1)"),
    _python("keys", "call('add_key',248,b'user',b'k',b'v',1,-3); call('keyctl',250,0,-3,0)"),
    _python("perf", "b=ctypes.create_string_buffer(128); b[4]=128; call('perf',298,b,0,-1,-1,0)"),
    _python(
        "namespaces of its own",
        _lines(
            "call('unshare',272,0x10000000); call('unshare mounts',272,0x20000)",
            "for flag in (0x10000000,0x20000,0x20000000,0x40000000,0x2000000,0x4000000,0x8000000):",
            "    call('clone',56,flag|17,0,0,0,0)",
            "b=ctypes.create_string_buffer(88); b[3]=0x10; call('clone3',435,b,88)",
            "call('mount',165,b'none',b'/tmp',b'tmpfs',0,0); call('setns',308,3,0); call('chroot',161,b'.')",
            "call('pivot',155,b'.',b'.'); call('umount',166,b'/proc',2); call('open_tree',428,-100,b'/',1)",
        ),
    ),
    _python(
        "a program out of memory",
        "def f():\n    fd=os.memfd_create('e'); return libc.syscall(322,fd,b'',None,None,0x1000)\ntries('memfd',f)",  # noqa: E501
    ),
    _python(
        "become somebody else",
        _lines(
            "tries('setuid',lambda: os.setuid(0)); tries('setgroups',lambda: os.setgroups([0]))",
            "call('capset',126,ctypes.create_string_buffer(b'\\x22\\x05\\x08\\x20'+b'\\0'*4),b'\\xff'*24)",
            "tries('su',lambda: 1/(os.system('su -c id </dev/null >/dev/null 2>&1')==0))",
        ),
    ),
    _python(
        "the clock",
        "tries('set',lambda: time.clock_settime(time.CLOCK_REALTIME,0)); call('adjtimex',159,b'\\1'+b'\\0'*255)",  # noqa: E501
    ),
    _python(
        "modules and reboots",
        _lines(
            "call('init_module',175,0,0,b''); call('kexec',246,0,0,0,0); call('swapon',167,b'/x',0)",
            "call('sethostname',170,b'h',1); call('syslog',103,3,ctypes.create_string_buffer(64),64)",
            "call('iopl',172,3); call('personality',135,0x0040000)",
        ),
    ),
    _python(
        "another machine's calls",
        _lines(
            "import mmap",
            "m=mmap.mmap(-1,4096,prot=7)",
            "m.write(bytes.fromhex('b814000000cd80c3'))",
            "f=ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))",
            "print('ESCAPED int80',f()) if X86 else None",
        ),
    ),
    _python("calls of the other abi", "print('ESCAPED x32',libc.syscall(0x40000000|39)) if X86 else None"),
    _python("type into the terminal", "import fcntl\ntries('tiocsti',lambda: fcntl.ioctl(0,0x5412,b'x'))"),
    _python(
        "shared memory and queues",
        _lines(
            "call('shmget',29,0x41494f53,4096,0o1666); call('msgget',68,0x41494f53,0o1666)",
            "call('semget',64,0x41494f53,1,0o1666); call('mq_open',240,b'aios',0o102,0o666,0)",
        ),
    ),
    _python(
        "watch files of others",
        "call('inotify',254); call('fanotify',300,0,0); call('handle',303,-100,CANARY.encode(),0,0,0)",
    ),
    _python(
        "every call that there is",
        _lines(
            "skip={0,1,3,13,14,15,22,24,34,35,37,38,56,57,58,59,60,61,112,128,130,202,218,219,230,231,232,247,270,",
            "      271,273,281,282,322,334,435,436,7,23,45,47,299,11,12,9,10,25,5,6,4,32,33,73,78,217,437}",
            "for n in range(462):",
            "    if n in skip: continue",
            "    r=libc.syscall(n,0,0,0,0,0,0)",
            "print('held')",
        ),
    ),
)

SECRETS: Final = (
    _python(
        "the environment",
        _lines(
            "print('ESCAPED' if 'AIOS_SECRET' in os.environ else 'held')",
            "tries('of the parent',lambda: 1/('AIOS' in open('/proc/%d/environ'%os.getppid()).read()))",
        ),
    ),
    _python(
        "inherited descriptors",
        _lines(
            "for i in range(4,1024):",
            "    try: os.fstat(i); print('ESCAPED fd',i)",
            "    except OSError: pass",
            "for i in (0,1,2,3):",
            "    try:",
            "        import stat",
            "        if not stat.S_ISFIFO(os.fstat(i).st_mode): print('ESCAPED no pipe',i)",
            "    except OSError: pass",
        ),
    ),
    _python(
        "paths in tracebacks",
        "import traceback\ntry: 1/0\nexcept Exception: print('ESCAPED' if CANARY in traceback.format_exc() else 'held')",  # noqa: E501
    ),
    _python(
        "a report of its own end",
        "for fd in (4,5,6):\n    try: os.write(fd,b'ended 0\\n'); print('ESCAPED status',fd)\n    except OSError: pass",  # noqa: E501
    ),
)

ATTACKS: Final[Iterable[Attack]] = (*RESOURCES, *FILES, *NETWORK, *PROCESSES, *SECRETS)

WORKS: Final = (
    _python(
        "asyncio with threads",
        _lines(
            "import asyncio",
            "async def f(): return await asyncio.to_thread(lambda: 7)",
            "print('ESCAPED' if asyncio.run(f())!=7 else 'works')",
        ),
    ),
    _python(
        "copying files",
        "import shutil\nopen('a','w').write('x')\nshutil.copy2('a','b'); shutil.copytree('.','/tmp/t' if 0 else 'c',ignore=lambda *_: ['c'])\nprint('works')",  # noqa: E501
    ),
    _python(
        "a temporary file",
        "import tempfile\nwith tempfile.NamedTemporaryFile() as f: f.write(b'x')\nprint('works')",
    ),
    _python(
        "a pool of threads",
        "from concurrent.futures import ThreadPoolExecutor as P\nwith P(8) as p: print('works' if sum(p.map(int,'123'))==6 else '')",  # noqa: E501
    ),
    _python(
        "the standard library",
        "import statistics,decimal,sqlite3,hashlib,random,csv,zlib,uuid,datetime\nuuid.uuid4(); sqlite3.connect(':memory:').execute('select 1')\nopen('/dev/null','w').write('x')\nprint('works')",  # noqa: E501
    ),
)
"""What must work in every sandbox."""

WORKS_WITH_PROCESSES: Final = (
    _python(
        "a child process",
        "import subprocess\nprint('works' if subprocess.run(['echo','x'],capture_output=True).stdout==b'x\\n' else '')",  # noqa: E501
    ),
    _shell(
        "many children that nobody waits for",
        "i=0; while [ $i -lt 150 ]; do (true &) || exit 1; i=$((i+1)); done; echo works",
    ),
    _shell("an archive", "echo x >a && tar cf b.tar a && rm a && tar xf b.tar && test -s a && echo works"),
    _shell(
        "a pipeline",
        "printf 'b\\na\\n' | sort >x; ls / 2>/dev/null | wc -l >/dev/null; echo works",
    ),
)
