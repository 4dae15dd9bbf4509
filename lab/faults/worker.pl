# Causes one fault inside a service's container, which has nothing for it but Debian's perl-base.
#
#   perl -e THIS work MARKER KIND SECONDS SETTING...   cause it until it is stopped, or SECONDS are long over
#   perl -e THIS await MARKER                          wait until it is caused; fail if it never is
#   perl -e THIS stop MARKER FILE...                   stop it, whatever is left of it, and remove its files
#
# A worker is known by the MARKER in its command line, so that no noted process number can be another's by now.
use strict;
use warnings;
use Fcntl qw(O_CREAT O_WRONLY SEEK_SET);
use IO::Handle;
use POSIX ();

my $PERIOD_S = 0.1;
my $NO_LIMIT = 2**62;    # Version 1 of control groups states more than this where there is none.
my $GRACE_S  = 60;    # A worker that nobody stops ends by itself so long after its time.
my ($lifetime_s, @children);
my ($task, $marker, @settings) = @ARGV;
my %tasks = (work => \&work, await => \&await, stop => \&stop);
$tasks{$task}->(@settings);

sub work {
    my ($kind, $seconds, @more) = @_;
    my %kinds = (
        'cpu-hog'      => \&hog_cpu,
        'memory-leak'  => \&leak_memory,
        'process-leak' => \&leak_processes,
        'disk-writes'  => \&write_disk,
        'disk-reads'   => \&read_disk,
        'error-flood'  => \&flood_errors,
        'backup'       => \&back_up,
        'cron-job'     => \&run_cron_job,
    );
    $lifetime_s = $seconds + $GRACE_S;
    alarm($lifetime_s);
    $kinds{$kind}->($seconds, @more);
}

sub acting {
    $0 = "$marker acting";
}

# Starts a child that the worker takes along when it is stopped.
sub child {
    my ($what) = @_;
    my $pid = fork() // die "cannot fork: $!";
    if (!$pid) {
        $SIG{TERM} = $SIG{ALRM} = 'DEFAULT';
        alarm($lifetime_s);
        $0 = "$marker child";
        $what->();
        exit 0;
    }
    push @children, $pid;
    $SIG{TERM} = $SIG{ALRM} = sub {
        kill 'KILL', @children;
        1 while wait() > 0;
        exit 0;
    };
    return $pid;
}

# Burns so many cores by so many processes.
sub hog_cpu {
    my ($seconds, $cores, $processes) = @_;
    my $share = $cores / $processes > 1 ? 1 : $cores / $processes;
    my $burn = sub {
        while (1) {
            my $end = POSIX::clock() + $share * $PERIOD_S * POSIX::CLOCKS_PER_SEC();
            1 while POSIX::clock() < $end;
            select(undef, undef, undef, (1 - $share) * $PERIOD_S) if $share < 1;
        }
    };
    child($burn) for 1 .. $processes;
    acting();
    1 while wait() > 0;
}

# Takes this share of the memory that is free within the limit, or of so many bytes where there is none, and reaches it
# after four fifths of the time.
# The kernel kills a process of the container when the limit is reached: the leaking one, which then starts again.
sub leak_memory {
    my ($seconds, $share, $most_bytes) = @_;
    my ($limit, $used) = memory();
    my $free = $limit > $used ? $limit - $used : 0;
    my $goal = $share * ($limit >= $NO_LIMIT ? $most_bytes : $free);
    my $step = 1 + int($goal * $PERIOD_S / (0.8 * $seconds));
    my $leak = sub {
        if (open my $score, '>', '/proc/self/oom_score_adj') { print $score 1000; close $score; }
        my ($taken, @kept) = (0);
        while (1) {
            if ($taken < $goal) { push @kept, 'x' x $step; $taken += $step; }
            select(undef, undef, undef, $PERIOD_S);
        }
    };
    child($leak);
    acting();
    while (wait() > 0) { @children = (); child($leak); }
}

# The container's memory limit, and what it uses without page cache, by either version of control groups.
sub memory {
    my ($folder, $limit_file, $used_key) = -e '/sys/fs/cgroup/memory.max'
        ? ('/sys/fs/cgroup', 'memory.max', 'anon')
        : ('/sys/fs/cgroup/memory', 'memory.limit_in_bytes', 'total_rss');
    open my $file, '<', "$folder/$limit_file" or die "cannot read the memory limit: $!";
    my ($limit) = <$file> =~ /^(\d+)/;
    open my $statistics, '<', "$folder/memory.stat" or die "cannot read the memory used: $!";
    my ($used) = map { /^$used_key (\d+)/ ? $1 : () } <$statistics>;
    return ($limit // $NO_LIMIT, $used // 0);
}

# Leaves so many processes behind, the last of them after four fifths of the time.
sub leak_processes {
    my ($seconds, $processes) = @_;
    acting();
    for (1 .. $processes) {
        child(sub { sleep $lifetime_s });
        select(undef, undef, undef, 0.8 * $seconds / $processes);
    }
    1 while wait() > 0;
}

# Reads the largest of the image's files over and over past the page cache, so many bytes a second.
sub read_disk {
    my ($seconds, $bytes_per_s) = @_;
    my ($path, $bytes) = ('', 0);
    for (files('/usr', 5000)) {
        ($path, $bytes) = ($_, -s _) if lstat and -s _ > $bytes;
    }
    my ($begin_s, $read) = (now_s(), 0);
    while (1) {
        system('dd', "if=$path", 'of=/dev/null', 'bs=256k', 'iflag=direct', 'status=none') == 0
            or die "cannot read $path directly";
        acting() if !$read;
        $read += $bytes;
        my $ahead_s = $read / $bytes_per_s - (now_s() - $begin_s);
        select(undef, undef, undef, $ahead_s) if $ahead_s > 0;
    }
}

# Names so many regular files at most below a folder.
sub files {
    my ($folder, $most) = @_;
    my (@found, @folders);
    push @folders, $folder;
    while (@found < $most and defined(my $next = shift @folders)) {
        opendir my $entries, $next or next;
        for my $path (map { "$next/$_" } sort grep { !/^\.\.?$/ } readdir $entries) {
            lstat $path or next;
            if (-d _) { push @folders, $path }
            elsif (-f _) { push @found, $path }
        }
    }
    return @found > $most ? @found[0 .. $most - 1] : @found;
}

# Packs a folder into a file once, and then waits for its end.
sub back_up {
    my ($seconds, $folder, $path, $effort) = @_;
    acting();
    # The marker in tar's own command line lets it be found and stopped.
    system('sh', '-c', 'tar --create --exclude "$1" --exclude .podlab-fault "$2" 2> /dev/null | gzip "-$3" > "$4"',
        $marker, $marker, $folder, $effort, $path);
    sleep $lifetime_s;
}

# Sums up so many files of the image, again and again with a pause.
sub run_cron_job {
    my ($seconds, $most, $pause_s) = @_;
    acting();
    while (1) {
        my %sums;
        for my $path (files('/usr', $most)) {
            open my $file, '<:raw', $path or next;
            read $file, my $content, 2**18;
            $sums{$path} = unpack '%32C*', $content // '';
        }
        my @ordered = sort { $sums{$a} <=> $sums{$b} } keys %sums;
        sleep $pause_s;
    }
}

# Writes so many bytes a second in blocks, each of them flushed to the disk, over and over into one file.
sub write_disk {
    my ($seconds, $path, $bytes_per_s, $block_bytes, $file_bytes) = @_;
    sysopen my $file, $path, O_CREAT | O_WRONLY or die "cannot write $path: $!";
    my $block = join '', map { chr(int rand 256) } 1 .. $block_bytes;
    my ($begin_s, $written) = (now_s(), 0);
    while (1) {
        sysseek $file, $written % $file_bytes, SEEK_SET;
        $written += syswrite($file, $block) // die "cannot write $path: $!";
        $file->sync or die "cannot flush $path: $!";
        acting() if $written == $block_bytes;
        my $ahead_s = $written / $bytes_per_s - (now_s() - $begin_s);
        select(undef, undef, undef, $ahead_s) if $ahead_s > 0;
    }
}

# Writes error lines to where the container's first process writes its own.
sub flood_errors {
    my ($seconds, $lines_per_s) = @_;
    my $log;
    open $log, '>>', '/proc/1/fd/2' or open $log, '>>', '/proc/1/fd/1' or die "cannot write the log: $!";
    $log->autoflush(1);
    my ($begin_s, $written) = (now_s(), 0);
    while (1) {
        my $due = 1 + int((now_s() - $begin_s) * $lines_per_s);
        my $lines = '';
        for (; $written < $due; $written++) {
            $lines .= sprintf "%s ERROR request %08x failed: upstream timed out after %d ms while reading (attempt %d)\n",
                POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime), rand(2**32), 1000 + rand 9000, 1 + rand 5;
        }
        print $log $lines;
        acting() if $0 ne "$marker acting";
        select(undef, undef, undef, $PERIOD_S);
    }
}

sub now_s {
    return (POSIX::times())[0] / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# The processes whose command line holds a text, but for this one.
sub marked {
    my ($text) = @_;
    my @found;
    for my $folder (glob '/proc/[0-9]*') {
        my ($pid) = $folder =~ /(\d+)$/;
        next if $pid == $$ or !open my $file, '<', "$folder/cmdline";
        push @found, $pid if index(join('', <$file>), $text) >= 0;
    }
    return @found;
}

sub await {
    for (1 .. 100) {
        return if marked("$marker acting");
        select(undef, undef, undef, $PERIOD_S);
    }
    die "no process $marker\n";
}

sub stop {
    my @files = @_;
    my @left;
    for my $attempt (1 .. 100) {
        @left = marked($marker) or last;
        # A polite end first: a worker takes its children along, a client closes what it opened.
        kill($attempt == 1 ? 'TERM' : 'KILL', @left) if $attempt == 1 or $attempt > 60;
        select(undef, undef, undef, $PERIOD_S);
    }
    die "these go on: @left\n" if @left;
    unlink @files;
}
