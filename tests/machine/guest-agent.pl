#!/usr/bin/perl
# Runs commands and copies files inside an emulated machine, for the test that holds the other end of the channel.
#
# The channel is the virtio port named `agent`, a stream of bytes. Both sides write frames of one byte kind, four bytes
# length, and the content; numbers are unsigned, big-endian and 32 bits wide unless they say otherwise. The host asks
# one thing at a time:
#
#   c  clock   seconds since 1970 (64 bits), nanoseconds, then random bytes. Sets the clock and stirs the random pool:
#              machines that resume from one state would otherwise draw the same numbers.       answer: e
#   r  run     milliseconds until it is killed, count of arguments, each as length and bytes; the rest is its standard
#              input.                                                             answer: o and f in any order, then e
#   p  push    mode, then the path; d frames with the content and an empty e follow.            answer: e or x
#   g  get     the path.                                                                 answer: d frames, then e; or x
#
#   d content   o standard output   f standard error   e the end; of a run with its status, or 128 + the signal that
#   ended it   x why it could not be done
#
# An answer holds at most 8 MiB of each of standard output and error; of more, the beginning. A command that leaves
# processes behind that hold its output open ends when it ends itself. Needs nothing but perl-base. The agent locks
# itself into memory and the service exempts it from the OOM killer; what it runs has neither.

use strict;
use warnings;
use Errno qw(EAGAIN EINTR);
use Fcntl qw(F_GETFL F_SETFL O_NONBLOCK O_RDWR);
use POSIX ();

my $MAX_FRAME = 64 << 20;
my $MAX_OUTPUT = 8 << 20;
my $CHUNK = 32 << 10;

# System calls of x86-64 for which perl-base has no function.
my %CALL = (mlockall => 151, clock_settime => 227, clock_gettime => 228);
my $RNDRESEEDCRNG = 0x5207;

$SIG{PIPE} = 'IGNORE';
$SIG{CHLD} = sub { };    # ends a select
syscall($CALL{mlockall}, 3);
my $channel = channel();
while (1) {
    my ($kind, $content) = take();
    if    ($kind eq 'c') { clock($content) }
    elsif ($kind eq 'r') { run($content) }
    elsif ($kind eq 'p') { push_file($content) }
    elsif ($kind eq 'g') { get_file($content) }
    else                 { give('x', "no request is called $kind") }
}

# There is no udev, so the port's name has to be looked up.
sub channel {
    while (1) {
        for my $name (glob '/sys/class/virtio-ports/*/name') {
            open my $file, '<', $name or next;
            next unless (<$file> // '') =~ /^agent$/;
            my ($port) = $name =~ m{([^/]+)/name$};
            sysopen my($channel), "/dev/$port", O_RDWR or next;
            return $channel;
        }
        select undef, undef, undef, 0.05;
    }
}

sub take {
    my ($kind, $length) = unpack 'aN', take_bytes(5);
    die "a frame of $length bytes\n" if $length > $MAX_FRAME;
    return ($kind, take_bytes($length));
}

sub take_bytes {
    my ($wanted) = @_;
    my $bytes = '';
    while (length $bytes < $wanted) {
        my $read = sysread $channel, $bytes, $wanted - length $bytes, length $bytes;
        # Nothing is read while no one is connected.
        select undef, undef, undef, 0.01 unless $read;
    }
    return $bytes;
}

sub give {
    my ($kind, $content) = @_;
    my $frame = pack('aN', $kind, length $content) . $content;
    my $given = 0;
    while ($given < length $frame) {
        my $wrote = syswrite $channel, $frame, length($frame) - $given, $given;
        if ($wrote) { $given += $wrote } else { select undef, undef, undef, 0.01 }
    }
}

sub clock {
    my ($seconds, $nanoseconds, $random) = unpack 'Q>Na*', $_[0];
    syscall($CALL{clock_settime}, 0, pack('qq', $seconds, $nanoseconds)) == 0 or return give('x', "the clock: $!");
    if (open my $pool, '+<', '/dev/urandom') {
        syswrite $pool, $random;
        ioctl $pool, $RNDRESEEDCRNG, 0;
    }
    give('e', '');
}

# The wall clock is not asked: stories set it.
sub monotonic {
    my $time = "\0" x 16;
    syscall($CALL{clock_gettime}, 1, $time);
    my ($seconds, $nanoseconds) = unpack 'qq', $time;
    return $seconds + $nanoseconds / 1e9;
}

sub run {
    my ($within, $count, $rest) = unpack 'NNa*', $_[0];
    my @command;
    for (1 .. $count) {
        (my $argument, $rest) = unpack 'N/aa*', $rest;
        push @command, $argument;
    }
    my $deadline = monotonic() + $within / 1000;
    my ($pid, $input, %outputs) = start(@command);
    my %left = (o => $MAX_OUTPUT, f => $MAX_OUTPUT);
    my $status;
    while (!defined $status) {
        my $ended = waitpid $pid, POSIX::WNOHANG();
        $status = $? if $ended == $pid;
        if (!defined $status && monotonic() > $deadline) {
            kill KILL => -$pid;
            waitpid $pid, 0;
            $status = $?;
        }
        my ($reads, $writes) = ('', '');
        vec($reads, fileno $_, 1) = 1 for values %outputs;
        vec($writes, fileno $input, 1) = 1 if $input;
        next if select($reads, $writes, undef, defined $status ? 0 : 0.1) <= 0;
        if ($input && vec $writes, fileno $input, 1) {
            my $wrote = syswrite $input, $rest, $CHUNK;
            substr $rest, 0, $wrote, '' if $wrote;
            undef $input if !length $rest || (!$wrote && $! != EAGAIN);
        }
        for my $kind (keys %outputs) {
            next unless vec $reads, fileno $outputs{$kind}, 1;
            drain($kind, \%outputs, \%left);
        }
    }
    give('e', pack 'N', $status & 127 ? 128 + ($status & 127) : $status >> 8);
}

sub start {
    my @command = @_;
    pipe my $in, my $input or die;
    pipe my $output, my $out or die;
    pipe my $errors, my $err or die;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        POSIX::setsid();
        $SIG{$_} = 'DEFAULT' for qw(PIPE CHLD);
        if (open my $score, '>', '/proc/self/oom_score_adj') { syswrite $score, '0' }
        POSIX::dup2(fileno $in, 0);
        POSIX::dup2(fileno $out, 1);
        POSIX::dup2(fileno $err, 2);
        chdir '/';
        %ENV = (PATH => '/usr/sbin:/usr/bin:/sbin:/bin', HOME => '/root', LC_ALL => 'C.UTF-8',
            DEBIAN_FRONTEND => 'noninteractive');
        { no warnings 'exec'; exec { $command[0] } @command }
        syswrite STDERR, "$command[0]: $!\n";
        POSIX::_exit(127);
    }
    for ($input, $output, $errors) {
        fcntl $_, F_SETFL, fcntl($_, F_GETFL, 0) | O_NONBLOCK;
    }
    return ($pid, $input, o => $output, f => $errors);
}

# Passes on what is there, until there is no more for now.
sub drain {
    my ($kind, $outputs, $left) = @_;
    while (1) {
        my $read = sysread $outputs->{$kind}, (my $bytes), $CHUNK;
        return if !defined $read && ($! == EAGAIN || $! == EINTR);
        return delete $outputs->{$kind} unless $read;
        my $kept = substr $bytes, 0, $left->{$kind};
        $left->{$kind} -= length $kept;
        give($kind, $kept) if length $kept;
    }
}

# By another name first: a program that runs can be replaced, not written to.
sub push_file {
    my ($mode, $path) = unpack 'Na*', $_[0];
    my $part = "$path.part";
    my ($file, $failed);
    sysopen $file, $part, POSIX::O_WRONLY() | POSIX::O_CREAT() | POSIX::O_TRUNC(), 0600 or $failed = "$part: $!";
    while (1) {
        my ($kind, $content) = take();
        last if $kind eq 'e';
        next if $failed;
        my $wrote = 0;
        while ($wrote < length $content) {
            my $more = syswrite $file, $content, length($content) - $wrote, $wrote;
            if (!$more) { $failed = "$part: $!"; last }
            $wrote += $more;
        }
    }
    if (!$failed) {
        chmod $mode, $part and rename $part, $path or $failed = "$path: $!";
    }
    return give('e', '') unless $failed;
    unlink $part;
    give('x', $failed);
}

sub get_file {
    my ($path) = @_;
    sysopen my($file), $path, POSIX::O_RDONLY() or return give('x', "$path: $!");
    while (1) {
        my $read = sysread $file, (my $bytes), 1 << 20;
        return give('x', "$path: $!") unless defined $read;
        last unless $read;
        give('d', $bytes);
    }
    give('e', '');
}
