"""The filter of system calls, run by instruction: what it allows, and that it allows nothing else."""

import itertools
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.isolation.inside.seccomp import (
    ALLOW,
    ATTRIBUTES,
    EAFNOSUPPORT,
    ENOSYS,
    ENOTSUP,
    ENOTTY,
    EPERM,
    ERRNO,
    FCNTL_MAY,
    IOCTL_MAY,
    KILL,
    MODES,
    OPENS,
    OWNERS,
    PRCTL_MAY,
    SIGNALS,
    TIMES,
    Rules,
    program,
)
from services.chassis.isolation.inside.syscalls import AARCH64, MACHINES, PLAIN, X86_64, Machine
from tests.fakes.bpf import Filter

REFUSED: Final = ERRNO | EPERM
PRETENDED: Final = ERRNO
PID: Final = 4321
LOCKED: Final = Rules(
    fork=False, own_files=False, own_signals=False, own_truncate=False, network=False, pid=PID
)
"""The narrowest."""
MACHINE_PARAMS = [pytest.param(machine, id=name) for name, machine in MACHINES.items()]
SPECIAL: Final = {
    *SIGNALS, *MODES, *OPENS, *OWNERS, *TIMES, *ATTRIBUTES,
    "truncate", "fork", "vfork", "clone", "clone3", "socket", "socketpair", "connect", "setsockopt",
    "fcntl", "ioctl", "prlimit64", "prctl", "mmap", "madvise", "creat",
}  # fmt: skip
"""Calls that a rule speaks of; nothing but these and the plain ones is ever allowed."""

CLONE = {
    "VM": 0x100, "FS": 0x200, "FILES": 0x400, "SIGHAND": 0x800, "PIDFD": 0x1000, "PTRACE": 0x2000,
    "VFORK": 0x4000, "PARENT": 0x8000, "THREAD": 0x10000, "NEWNS": 0x20000, "SYSVSEM": 0x40000,
    "SETTLS": 0x80000, "PARENT_SETTID": 0x100000, "CHILD_CLEARTID": 0x200000, "DETACHED": 0x400000,
    "UNTRACED": 0x800000, "CHILD_SETTID": 0x1000000, "NEWCGROUP": 0x2000000, "NEWUTS": 0x4000000,
    "NEWIPC": 0x8000000, "NEWUSER": 0x10000000, "NEWPID": 0x20000000, "NEWNET": 0x40000000, "IO": 0x80000000,
}  # fmt: skip
THREAD_FLAGS = sum(
    CLONE[name]
    for name in (
        "VM", "FS", "FILES", "SIGHAND", "THREAD", "SYSVSEM", "SETTLS", "PARENT_SETTID", "CHILD_CLEARTID"
    )
)  # fmt: skip
"""What the C library starts threads with."""
FORK_FLAGS = CLONE["CHILD_CLEARTID"] | CLONE["CHILD_SETTID"] | 17
SPAWN_FLAGS = CLONE["VM"] | CLONE["VFORK"] | 17
FORBIDDEN = [
    "PIDFD", "PTRACE", "PARENT", "UNTRACED", "IO",
    *(name for name in CLONE if name.startswith("NEW")),
]  # fmt: skip


def rules(**changes: Any) -> Rules:
    """Return the narrowest rules but for some."""
    return Rules(**{**vars(LOCKED), **changes})


_made: dict[tuple[int, Rules], Filter] = {}


def filter_of(machine: Machine, given_rules: Rules) -> Filter:
    """Return the filter, made once."""
    key = machine.audit, given_rules
    if key not in _made:
        _made[key] = Filter(program(machine, given_rules))
    return _made[key]


def ask(call: str, *arguments: int, machine: Machine = X86_64, **changes: Any) -> int:
    """Return what becomes of a call by its name."""
    made = filter_of(machine, rules(**changes))
    return made.verdict(machine.audit, machine.numbers[call], arguments)


ALL_RULES = [
    Rules(fork=fork, own_files=files, own_signals=signals, own_truncate=truncate, network=network, pid=PID)
    for fork, files, signals, truncate, network in itertools.product((False, True), repeat=5)
]
INTERESTING = sorted(
    {
        0, 1, 2, 3, 4, 5, 10, 15, 16, 17, PID, THREAD_FLAGS, FORK_FLAGS, SPAWN_FLAGS, THREAD_FLAGS | 9,
        0o1000, 0o4755, 0o6100, 0x21, 0x40000, 21, 9, CLONE["NEWUSER"], CLONE["THREAD"],
        *FCNTL_MAY, *IOCTL_MAY, *PRCTL_MAY,
    }
)  # fmt: skip


def slow(rules_: list[Rules]) -> list[Any]:
    """Keep the widest and the narrowest for every run, and the others for `make torture-tools`."""
    first, *others, last = rules_
    return [first, *(pytest.param(each, marks=pytest.mark.torture_tools) for each in others), last]


@pytest.mark.parametrize("machine", MACHINE_PARAMS)
@pytest.mark.parametrize("given_rules", slow(ALL_RULES))
def test_every_instruction_of_every_filter_has_a_call_that_runs_it(
    machine: Machine, given_rules: Rules
) -> None:
    made = filter_of(machine, given_rules)
    made.ran.clear()
    made.verdict(0x40000003, 20)
    for number in (*machine.numbers.values(), 9999, 0xFFFFFFFF):
        made.verdict(machine.audit, number)
    for name in sorted(SPECIAL & machine.numbers.keys()):
        for value in INTERESTING:
            made.verdict(machine.audit, machine.numbers[name], [value] * 4)
            made.verdict(machine.audit, machine.numbers[name], [1, value])
            made.verdict(machine.audit, machine.numbers[name], [2, value])

    assert {place for place, _ in made.ran} == set(range(len(made.instructions)))


@pytest.mark.parametrize("machine", MACHINE_PARAMS)
@given(number=st.integers(0, 0xFFFFFFFF), arguments=st.lists(st.integers(0, (1 << 64) - 1), max_size=6))
def test_a_number_that_is_not_named_is_never_allowed(
    machine: Machine, number: int, arguments: list[int]
) -> None:
    known = {machine.numbers[name] for name in (PLAIN | SPECIAL) & machine.numbers.keys()}
    for given_rules in (ALL_RULES[0], ALL_RULES[-1]):
        verdict = filter_of(machine, given_rules).verdict(machine.audit, number, arguments)
        if number not in known:
            assert verdict in {REFUSED, KILL}


@given(audit=st.integers(0, 0xFFFFFFFF), number=st.integers(0, 500))
def test_another_machines_calls_end_the_process(audit: int, number: int) -> None:
    for machine in MACHINES.values():
        verdict = filter_of(machine, ALL_RULES[-1]).verdict(audit, number)
        assert (verdict == KILL) is (audit != machine.audit)


@given(number=st.integers(0x40000000, 0xFFFFFFFF))
def test_calls_of_the_other_abi_of_the_same_machine_end_the_process(number: int) -> None:
    assert filter_of(X86_64, ALL_RULES[-1]).verdict(X86_64.audit, number) == KILL


@pytest.mark.parametrize("machine", MACHINE_PARAMS)
def test_no_number_stands_for_two_names(machine: Machine) -> None:
    assert len(set(machine.numbers.values())) == len(machine.numbers)


@pytest.mark.parametrize("machine", MACHINE_PARAMS)
@pytest.mark.parametrize("name", sorted(PLAIN))
def test_what_programs_need_is_allowed_whatever_its_arguments(machine: Machine, name: str) -> None:
    if name in machine.numbers:
        assert ask(name, *[0xFFFFFFFF] * 6, machine=machine) == ALLOW
    else:
        assert name in X86_64.numbers


_DANGEROUS = """
    io_uring_setup io_uring_enter io_uring_register bpf userfaultfd keyctl add_key request_key
    perf_event_open ptrace process_vm_readv process_vm_writev process_madvise pidfd_open
    pidfd_send_signal pidfd_getfd unshare setns mount umount2 pivot_root chroot move_mount open_tree
    fsopen mount_setattr memfd_create memfd_secret execveat shmget shmat msgget semget mq_open mknod
    mknodat name_to_handle_at open_by_handle_at setuid setgid setreuid setresuid setgroups capset
    personality ioperm iopl modify_ldt kexec_load init_module finit_module delete_module reboot swapon
    settimeofday clock_settime adjtimex acct quotactl syslog sethostname sched_setaffinity
    sched_setscheduler setpriority migrate_pages move_pages mbind kcmp rt_sigqueueinfo rt_tgsigqueueinfo
    timer_create inotify_add_watch fanotify_init vmsplice splice tee process_mrelease
    landlock_create_ruleset seccomp openat2 bind listen accept accept4 get_robust_list mincore
    setrlimit mlock mlock2 mlockall shmdt msgsnd semop lookup_dcookie vhangup ustat uselib cachestat
    statmount listmount map_shadow_stack set_mempolicy_home_node lsm_set_self_attr
"""


@pytest.mark.parametrize("name", _DANGEROUS.split())
def test_what_reaches_beyond_the_job_is_not_even_named(name: str) -> None:
    assert name not in PLAIN | SPECIAL


@pytest.mark.parametrize("machine", MACHINE_PARAMS)
@given(flags=st.integers(0, (1 << 64) - 1))
def test_clone_starts_threads_and_where_it_may_processes_and_no_namespaces(
    machine: Machine, flags: int
) -> None:
    for fork in (False, True):
        if ask("clone", flags, machine=machine, fork=fork) == ALLOW:
            assert not any(flags & CLONE[name] for name in FORBIDDEN)
            assert flags & 0xFF in {0, 17} or not fork
            assert fork or flags & CLONE["THREAD"]


@pytest.mark.parametrize("name", FORBIDDEN)
@pytest.mark.parametrize("base", [THREAD_FLAGS, FORK_FLAGS, SPAWN_FLAGS])
def test_clone_with_a_flag_that_reaches_outside_is_refused(name: str, base: int) -> None:
    assert ask("clone", base | CLONE[name], fork=True) == REFUSED
    assert ask("clone", base | CLONE[name], fork=False) == REFUSED


def test_what_the_c_library_asks_of_clone_is_allowed() -> None:
    assert ask("clone", THREAD_FLAGS) == ALLOW
    assert ask("clone", THREAD_FLAGS, fork=True) == ALLOW
    assert [ask("clone", flags, fork=True) for flags in (FORK_FLAGS, SPAWN_FLAGS)] == [ALLOW, ALLOW]
    assert [ask("clone", flags, fork=False) for flags in (FORK_FLAGS, SPAWN_FLAGS)] == [REFUSED, REFUSED]
    assert ask("clone", FORK_FLAGS - 17 + 9, fork=True) == REFUSED
    assert (ask("fork", fork=False), ask("vfork", fork=False)) == (REFUSED, REFUSED)
    assert ask("clone3") == ask("clone3", fork=True) == ERRNO | ENOSYS


def test_there_are_no_sockets_but_pairs_of_streams() -> None:
    for family, kind in itertools.product(range(46), range(16)):
        assert ask("socket", family, kind) == ERRNO | EAFNOSUPPORT
        pair = ask("socketpair", family, kind)
        assert (pair == ALLOW) is (family == 1 and kind == 1)
    assert ask("socketpair", 1, 0o2004001) == ALLOW  # SOCK_STREAM with SOCK_NONBLOCK and SOCK_CLOEXEC
    assert ask("socketpair", 1, 0o2004002) == REFUSED
    assert {ask(name) for name in ("connect", "bind", "listen", "accept", "accept4", "setsockopt")} == {
        REFUSED
    }


def test_a_granted_network_is_for_streams_and_datagrams_of_the_internet_alone() -> None:
    for family, kind in itertools.product(range(46), range(16)):
        allowed = ask("socket", family, kind, network=True) == ALLOW
        assert allowed is (family in {2, 10} and kind in {1, 2})
    assert ask("connect", network=True) == ALLOW
    assert {ask(name, network=True) for name in ("bind", "listen", "accept", "accept4")} == {REFUSED}


@given(command=st.integers(0, 0xFFFFFFFF))
def test_descriptors_send_no_signals_and_take_no_memory_that_nobody_counts(command: int) -> None:
    assert (ask("fcntl", 0, command) == ALLOW) is (command in FCNTL_MAY)
    assert not {8, 9, 10, 11, 15, 16, 1024, 1026, 1031, 1033} & set(FCNTL_MAY)


@given(request=st.integers(0, 0xFFFFFFFF))
def test_devices_are_asked_for_nothing_but_harmless_things(request: int) -> None:
    assert ask("ioctl", 0, request) == (ALLOW if request in IOCTL_MAY else ERRNO | ENOTTY)
    assert ask("ioctl", 0, 0x5412) == ERRNO | ENOTTY  # TIOCSTI


@given(pid=st.integers(1, 0xFFFFFFFF))
def test_limits_are_its_own_alone(pid: int) -> None:
    assert ask("prlimit64", pid) == REFUSED
    assert ask("prlimit64", 0) == ALLOW


@given(pid=st.integers(0, 0xFFFFFFFF))
def test_signals_go_to_itself_alone_where_they_might_reach_others(pid: int) -> None:
    for name in ("kill", "tgkill"):
        assert ask(name, pid) == (ALLOW if pid == PID else REFUSED)
        assert ask(name, pid, own_signals=True) == ALLOW
    assert ask("tkill", pid) == REFUSED


@given(option=st.integers(0, 0xFFFFFFFF))
def test_a_process_sets_nothing_of_itself_but_its_name(option: int) -> None:
    assert (ask("prctl", option) == ALLOW) is (option in {15, 16})


@pytest.mark.parametrize("name", sorted({*MODES, *OWNERS, *TIMES}))
def test_modes_owners_and_times_are_pretended_where_others_files_are_in_sight(name: str) -> None:
    for machine in (X86_64, AARCH64):
        if name in machine.numbers:
            assert ask(name, 0o777, 0o777, 0o777, machine=machine) == PRETENDED


@given(mode=st.integers(0, 0o177777))
def test_a_file_of_its_own_becomes_no_program_that_runs_as_somebody_else(mode: int) -> None:
    for name, index in MODES.items():
        verdict = ask(name, *[0] * index, mode, own_files=True)
        assert verdict == (REFUSED if mode & 0o6000 else ALLOW)


@given(flags=st.integers(0, 0xFFFFFFFF))
def test_opening_is_for_reading_or_writing_and_truncating_for_writing(flags: int) -> None:
    for name, index in OPENS.items():
        access = flags & 3
        fine = access in {1, 2} or (access == 0 and not flags & 0o1000)
        assert ask(name, *[7] * index, flags) == (ALLOW if fine else REFUSED)


@pytest.mark.parametrize("flags", [0o101, 0o100, 0o20200002])
@pytest.mark.parametrize("mode", [0o4755, 0o2700, 0o6000])
def test_a_file_is_not_made_as_a_program_that_runs_as_somebody_else(flags: int, mode: int) -> None:
    for name, index in OPENS.items():
        assert ask(name, *[7] * index, flags, mode) == REFUSED
        assert ask(name, *[7] * index, flags, mode & 0o777) == ALLOW
        assert ask(name, *[7] * index, 0o2, mode) == ALLOW  # nothing is made: what stands there is no mode
    assert (ask("creat", 7, mode), ask("creat", 7, mode & 0o777)) == (REFUSED, ALLOW)


@given(flags=st.integers(0, (1 << 64) - 1))
def test_no_memory_is_shared_without_a_file_and_none_is_huge(flags: int) -> None:
    for machine in MACHINES.values():
        uncounted = flags & 0x21 == 0x21 or flags & 0x40000
        assert ask("mmap", 0, 1, 3, flags, machine=machine) == (REFUSED if uncounted else ALLOW)


def test_what_the_c_library_maps_is_allowed_and_shared_memory_is_not() -> None:
    assert [ask("mmap", 0, 1, 3, flags) for flags in (0x02, 0x22, 0x20022, 0x01, 0x812)] == [ALLOW] * 5
    assert [ask("mmap", 0, 1, 3, flags) for flags in (0x21, 0x23, 0x8021, 0x40022)] == [REFUSED] * 4


@given(advice=st.integers(0, 0xFFFFFFFF) | st.just(21))
def test_memory_is_not_moved_out_of_sight(advice: int) -> None:
    assert ask("madvise", 0, 1, advice) == (REFUSED if advice == 21 else ALLOW)


def test_truncating_by_path_and_attributes_are_refused_where_landlock_does_not_hold_them() -> None:
    assert ask("truncate") == REFUSED
    assert ask("truncate", own_truncate=True) == ALLOW
    for given_rules in (ALL_RULES[0], ALL_RULES[-1]):
        made = filter_of(X86_64, given_rules)
        for name in ATTRIBUTES:
            assert made.verdict(X86_64.audit, X86_64.numbers[name]) == ERRNO | ENOTSUP
