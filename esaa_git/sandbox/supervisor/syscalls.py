"""The system calls of a confined program: what is listed is allowed, the rest is refused.

A filter of seccomp(2) is installed before the program starts, and all that it starts inherits it.
Listed is what builds, tests and tools use on themselves and on files that they may open. Not
listed is what reaches another process (its limits, priorities, memory, descriptors), what watches
or mounts, new namespaces, keyrings, tracing, io_uring, bpf and the like. Some calls depend on
their arguments: sockets by family, limits and priorities by whose they are. A call that is newer
than this list does not exist for the program (ENOSYS), so libraries fall back.

Numbers are those of Linux's `asm/unistd_64.h` and `asm-generic/unistd.h`; a sandboxed program's own
filters and Landlock rules still work. Nothing is imported here but the standard library: the
supervisor loads it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

_ALLOWED: Final = """
    accept:43:202 accept4:288:242 access:21: adjtimex:159:171 alarm:37: arch_prctl:158:
    bind:49:200 brk:12:214 cachestat:451:451 capget:125:90 capset:126:91 chdir:80:49 chmod:90:
    chown:92: clock_getres:229:114 clock_gettime:228:113 clock_nanosleep:230:115 close:3:57
    close_range:436:436 connect:42:203 copy_file_range:326:285 creat:85: dup:32:23 dup2:33:
    dup3:292:24 epoll_create:213: epoll_create1:291:20 epoll_ctl:233:21 epoll_ctl_old:214:
    epoll_pwait:281:22 epoll_pwait2:441:441 epoll_wait:232: epoll_wait_old:215: eventfd:284:
    eventfd2:290:19 execve:59:221 execveat:322:281 exit:60:93 exit_group:231:94 faccessat:269:48
    faccessat2:439:439 fadvise64:221:223 fallocate:285:47 fchdir:81:50 fchmod:91:52
    fchmodat:268:53 fchmodat2:452:452 fchown:93:55 fchownat:260:54 fcntl:72:25 fdatasync:75:83
    fgetxattr:193:10 flistxattr:196:13 flock:73:32 fork:57: fremovexattr:199:16 fsetxattr:190:7
    fstat:5:80 fstatfs:138:44 fsync:74:82 ftruncate:77:46 futex:202:98 futex_requeue:456:456
    futex_wait:455:455 futex_waitv:449:449 futex_wake:454:454 futimesat:261: get_mempolicy:239:236
    getcpu:309:168 getcwd:79:17 getdents:78: getdents64:217:61 getegid:108:177 geteuid:107:175
    getgid:104:176 getgroups:115:158 getitimer:36:102 getpeername:52:205 getpgid:121:155
    getpgrp:111: getpid:39:172 getppid:110:173 getrandom:318:278 getresgid:120:150
    getresuid:118:148 getrlimit:97:163 getrusage:98:165 getsid:124:156 getsockname:51:204
    getsockopt:55:209 gettid:186:178 gettimeofday:96:169 getuid:102:174 getxattr:191:8
    getxattrat:464:464 io_cancel:210:3 io_destroy:207:1 io_getevents:208:4 io_pgetevents:333:292
    io_setup:206:0 io_submit:209:2 kill:62:129 landlock_add_rule:445:445
    landlock_create_ruleset:444:444 landlock_restrict_self:446:446 lchown:94: lgetxattr:192:9
    link:86: linkat:265:37 listen:50:201 listxattr:194:11 listxattrat:465:465 llistxattr:195:12
    lremovexattr:198:15 lseek:8:62 lsetxattr:189:6 lstat:6: madvise:28:233 mbind:237:235
    membarrier:324:283 memfd_create:319:279 memfd_secret:447:447 mincore:27:232 mkdir:83:
    mkdirat:258:34 mknod:133: mknodat:259:33 mlock:149:228 mlock2:325:284 mlockall:151:230
    mmap:9:222 modify_ldt:154: mprotect:10:226 mremap:25:216 mseal:462:462 msync:26:227
    munlock:150:229 munlockall:152:231 munmap:11:215 name_to_handle_at:303:264 nanosleep:35:101
    newfstatat:262:79 open:2: openat:257:56 openat2:437:437 pause:34: pidfd_send_signal:424:424
    pipe:22: pipe2:293:59 pkey_alloc:330:289 pkey_free:331:290 pkey_mprotect:329:288 poll:7:
    ppoll:271:73 prctl:157:167 pread64:17:67 preadv:295:69 preadv2:327:286 pselect6:270:72
    pwrite64:18:68 pwritev:296:70 pwritev2:328:287 read:0:63 readahead:187:213 readlink:89:
    readlinkat:267:78 readv:19:65 recvfrom:45:207 recvmmsg:299:243 recvmsg:47:212
    remap_file_pages:216:234 removexattr:197:14 removexattrat:466:466 rename:82: renameat:264:38
    renameat2:316:276 restart_syscall:219:128 rmdir:84: rseq:334:293 rt_sigaction:13:134
    rt_sigpending:127:136 rt_sigprocmask:14:135 rt_sigqueueinfo:129:138 rt_sigreturn:15:139
    rt_sigsuspend:130:133 rt_sigtimedwait:128:137 rt_tgsigqueueinfo:297:240
    sched_get_priority_max:146:125 sched_get_priority_min:147:126 sched_getaffinity:204:123
    sched_getattr:315:275 sched_getparam:143:121 sched_getscheduler:145:120
    sched_rr_get_interval:148:127 sched_yield:24:124 seccomp:317:277 select:23: sendfile:40:71
    sendmmsg:307:269 sendmsg:46:211 sendto:44:206 set_mempolicy:238:237
    set_mempolicy_home_node:450:450 set_robust_list:273:99 set_tid_address:218:96 setfsgid:123:152
    setfsuid:122:151 setgid:106:144 setgroups:116:159 setitimer:38:103 setpgid:109:154
    setregid:114:143 setresgid:119:149 setresuid:117:147 setreuid:113:145 setrlimit:160:164
    setsid:112:157 setsockopt:54:208 setuid:105:146 setxattr:188:5 setxattrat:463:463
    shutdown:48:210 sigaltstack:131:132 signalfd:282: signalfd4:289:74 splice:275:76 stat:4:
    statfs:137:43 statx:332:291 symlink:88: symlinkat:266:36 sync:162:81 sync_file_range:277:84
    syncfs:306:267 sysinfo:99:179 tee:276:77 tgkill:234:131 time:201: timer_create:222:107
    timer_delete:226:111 timer_getoverrun:225:109 timer_gettime:224:108 timer_settime:223:110
    timerfd_create:283:85 timerfd_gettime:287:87 timerfd_settime:286:86 times:100:153
    tkill:200:130 truncate:76:45 umask:95:166 uname:63:160 unlink:87: unlinkat:263:35 utime:132:
    utimensat:280:88 utimes:235: vfork:58: vmsplice:278:75 wait4:61:260 waitid:247:95 write:1:64
    writev:20:66
"""
"""Each as `name:number on x86_64:number on aarch64`."""

_IPC: Final = """
    mq_getsetattr:245:185 mq_notify:244:184 mq_open:240:180 mq_timedreceive:243:183
    mq_timedsend:242:182 mq_unlink:241:181 msgctl:71:187 msgget:68:186 msgrcv:70:188 msgsnd:69:189
    semctl:66:191 semget:64:190 semop:65:193 semtimedop:220:192 shmat:30:196 shmctl:31:195
    shmdt:67:197 shmget:29:194
"""
"""Shared between all processes of the user, unless an IPC namespace keeps them apart."""

_WATCHES: Final = """
    inotify_add_watch:254:27 inotify_init:253: inotify_init1:294:26 inotify_rm_watch:255:28
"""
"""They tell of any file that can be named, wherever no mount hides it: Landlock does not ask."""

_OF_ANOTHER: Final = """
    pidfd_getfd:438:438 pidfd_open:434:434 process_vm_readv:310:270 process_vm_writev:311:271
"""
"""What sandlock itself uses to look into the program's calls; to the program it refuses them."""

_CONDITIONAL: Final = """
    clone:56:220 clone3:435:435 getpriority:140:141 ioctl:16:29 ioprio_get:252:31
    ioprio_set:251:30 move_pages:279:239 personality:135:92 prlimit64:302:261
    sched_setaffinity:203:122 sched_setattr:314:274 sched_setparam:142:118
    sched_setscheduler:144:119 setpriority:141:140 socket:41:198 socketpair:53:199
"""

_LAST_KNOWN: Final = 466

# linux/filter.h, linux/seccomp.h, linux/audit.h
_LOAD, _EQUAL, _MORE, _LEAST, _AND, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97
_X32: Final = 0x40000000
_MACHINES: Final = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

# AF_UNIX, AF_INET, AF_INET6; AF_NETLINK for the list of interfaces (NETLINK_ROUTE) alone.
_FAMILIES: Final = (1, 2, 10)
_NETLINK, _ROUTE = 16, 0

_NEW_NAMESPACE: Final = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""

_TERMINAL_INPUT: Final = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX, which type on a terminal."""

_PERSONALITIES: Final = (0x0, 0x8, 0x20000, 0x20008, 0x40000, 0xFFFFFFFF)
"""Linux, 2.6 versions, UNAME26, and addresses that are not drawn (what debuggers ask for)."""

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, value."""


def seccomp_filter(
    machine: str, *, own_processes: bool, own_ipc: bool, own_files: bool, by_sandlock: bool
) -> bytes | None:
    """Return the filter as the kernel takes it, or None for a machine whose calls we do not know.

    Args:
        machine: as `uname -m` says it.
        own_processes: a process namespace holds nothing but the program's own processes.
        own_ipc: an IPC namespace does the same for message queues and shared memory.
        own_files: mounts show the program nothing but what it may read.
        by_sandlock: the process that sandlock runs in is under this filter too.
    """
    if machine not in _MACHINES:
        return None
    architecture, column = _MACHINES[machine]
    free = _numbers(_ALLOWED, column)
    for is_free, names in ((own_ipc, _IPC), (own_files, _WATCHES), (by_sandlock, _OF_ANOTHER)):
        if is_free:
            free |= _numbers(names, column)
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _ERROR | _EPERM),
        (_LOAD, 0, 0, _NUMBER),
        (_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _ERROR | _ENOSYS),
    ]
    for first, last in _ranges(set(free.values())):
        program += [
            (_LEAST, 0, 2, first),
            (_MORE, 1, 0, last),
            (_RETURN, 0, 0, _ALLOW),
        ]
    conditional = _numbers(_CONDITIONAL, column)
    for name, block in _blocks(own_processes).items():
        if name in conditional:
            program += [(_EQUAL, 0, len(block), conditional[name]), *block]
    program += [
        (_MORE, 0, 1, _LAST_KNOWN),
        (_RETURN, 0, 0, _ERROR | _ENOSYS),
        (_RETURN, 0, 0, _ERROR | _EPERM),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _numbers(text: str, column: int) -> dict[str, int]:
    found = {}
    for word in text.split():
        name, *numbers = word.split(":")
        if numbers[column]:
            found[name] = int(numbers[column])
    return found


def _ranges(numbers: set[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def _blocks(own_processes: bool) -> dict[str, Sequence[Instruction]]:
    """Return what decides about the calls whose arguments count, by name."""
    allow: Instruction = (_RETURN, 0, 0, _ALLOW)
    refuse: Instruction = (_RETURN, 0, 0, _ERROR | _EPERM)
    own = _all_zero(0)
    family = [
        _argument(0),
        *((_EQUAL, len(_FAMILIES) - at + 2, 0, one) for at, one in enumerate(_FAMILIES)),
        (_EQUAL, 0, 3, _NETLINK),
        _argument(2),
        (_EQUAL, 0, 1, _ROUTE),
        allow,
        (_RETURN, 0, 0, _ERROR | _EAFNOSUPPORT),
    ]
    # Threads are named by their number; the first process of a namespace is no thread of theirs.
    scheduling = [_argument(0), (_EQUAL, 1, 0, 1), allow, refuse] if own_processes else own
    return {
        "clone": [_argument(0), (_AND, 0, 0, _NEW_NAMESPACE), (_EQUAL, 0, 1, 0), allow, refuse],
        "clone3": [(_RETURN, 0, 0, _ERROR | _ENOSYS)],  # its flags lie in memory: clone is asked
        "ioctl": [
            _argument(1),
            *(
                (_EQUAL, len(_TERMINAL_INPUT) - at, 0, one)
                for at, one in enumerate(_TERMINAL_INPUT)
            ),
            allow,
            refuse,
        ],
        "personality": [
            _argument(0),
            *((_EQUAL, len(_PERSONALITIES) - at, 0, one) for at, one in enumerate(_PERSONALITIES)),
            refuse,
            allow,
        ],
        "prlimit64": own,
        "setpriority": _all_zero(0, 1),
        "getpriority": _all_zero(0, 1),
        "ioprio_set": [_argument(0), (_EQUAL, 0, 3, 1), *_all_zero(1)],
        "ioprio_get": [_argument(0), (_EQUAL, 0, 3, 1), *_all_zero(1)],
        "sched_setaffinity": scheduling,
        "sched_setattr": scheduling,
        "sched_setparam": scheduling,
        "sched_setscheduler": scheduling,
        "move_pages": own,
        "socket": family,
        "socketpair": family,
    }


def _argument(number: int) -> Instruction:
    """Load the lower half of an argument: process ids, families and flags are 32 bits wide."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * number)


def _all_zero(*arguments: int) -> list[Instruction]:
    """Allow a call where these arguments are zero, which stands for the process itself."""
    block: list[Instruction] = []
    for left, number in zip(range(len(arguments) - 1, -1, -1), arguments, strict=True):
        block += [_argument(number), (_EQUAL, 0, 2 * left + 1, 0)]
    return [*block, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERROR | _EPERM)]
