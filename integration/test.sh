#!/usr/bin/env bash
# Runs the tests part by part. All parts run, though one fails, and the end says which
# failed, which tests did, and how to run each again by itself. `make test` calls it.
#
#   test.sh               every part
#   test.sh unit redis    these
#
# ARGS are further flags of each `go test`. Tests that would be skipped fail.
set -uo pipefail
cd "$(dirname "$0")/.."
export FENCELOCK_STRICT=1
export FENCELOCK_VERSIONS=${FENCELOCK_VERSIONS-newest} # of each product; FENCELOCK_VERSIONS=all make test: all that are supported

race=$([[ $(go env CGO_ENABLED) == 1 ]] && echo -race) # it takes a C compiler
ARGS=${ARGS-}

# All modules but those that need a server, or keep time.
unit=$(awk '$1 ~ /^\.(\/|$)/ && $1 != "./integration" && $1 != "./backend/raftlocal" { printf "%s/... ", $1 }' go.work)
unit+="./backend/raftlocal/internal/... ./backend/raftlocal/proposer ./integration ./integration/inputs/... ./integration/internal/proxy"

# Most of these tests wait, so that eight at a time suit two processors. Each shows as it
# ends, and what it logs with its name. They keep time: a part with several packages has
# -p 1, so that one runs at a time.
on_servers() {
	go test -count=1 -parallel 8 -v -timeout 30m "$@" | (
		trap '' INT # what is said of an interrupted run still passes
		grep --line-buffered -vE '^=== (RUN|PAUSE|CONT)'
	)
}

names=() minutes=() titles=() commands=()
part() { names+=("$1") minutes+=("$2") titles+=("$3") commands+=("$4"); }

# This is the only list: the name, the minutes it takes on two processors, what it tests, how.
#
# go-zookeeper 1.0.4 has a data race of its own: when it connects again, it reads the last
# zxid (sendSetWatches) while it takes in the first answer (recvLoop). Tests in which a
# connection with watches breaks do without the detector; backend/zookeeper's own, on a fake
# connection, have it.
part unit       3 "what needs no server" \
	"go test $race $ARGS $unit"
part members    1 "members of the built-in Raft, on real disks and sockets, which have the machine for themselves" \
	"go test $race -parallel 8 $ARGS ./backend/raftlocal"
#
# What takes minutes and finds least in them is left to `make redis-matrix`, `make sentinel-matrix` and `make cluster-matrix`.
# A test on a Cluster has three to six nodes, so four at a time are enough.
part redis      3 "Redis and Valkey, on real servers" \
	"on_servers $race -skip '^(TestConformanceInBatches|TestLuaMutants|TestBesideOldBuild)$' $ARGS ./integration/redis/..."
part sentinel   3 "Redis behind Sentinels, on real ones" \
	"on_servers $race -skip '^TestNothingGrows$|^TestConformanceWithLostReplies$/^(second|third)$' $ARGS ./integration/sentinel/..."
part cluster    3 "Redis Cluster, on real nodes" \
	"on_servers $race -parallel 4 -skip '^Test(Faults|ListingThroughChange|Members|NothingGrows|OpenBroken|ReshardUnderLoad|StaleReplica|Subscription)$|^TestConformanceWithLostReplies$/^(second|third)$' $ARGS ./integration/cluster/..."
part redlock    4 "Redlock, on three and five real masters" \
	"on_servers $race $ARGS ./integration/redlock/..."
part etcd       5 "etcd, on real servers" \
	"on_servers $race $ARGS ./integration/etcd/..."
part raftlocal  2 "the built-in Raft, its members as processes of their own" \
	"on_servers $race $ARGS ./integration/raftlocal/..."
part zookeeper  4 "ZooKeeper, on real servers" \
	"on_servers $ARGS ./integration/zookeeper/..."
part process    2 "holders that are killed and suspended, on every server" \
	"on_servers $ARGS ./integration/process/..."
part comingfrom 1 "programs of other libraries beside ours, on real servers" \
	"on_servers $ARGS ./integration/comingfrom/..."
part consumer   1 "a release, and each backend in an empty module" \
	"on_servers $ARGS ./integration/consumer/..."
part servers    2 "what starts the servers, itself" \
	"on_servers $race -p 1 $ARGS ./integration/images/... ./integration/internal/..."
part quickstart 1 "the example to start with" \
	"go -C examples/quickstart run ."

# failures reads what a part has said and prints a line for each test that failed, the
# innermost ones: its package and its name. A package that failed otherwise, since it does
# not compile or has left something behind, has no name beside it.
failures() {
	awk '
		/^ *--- FAIL: / { failed[++n] = $3 }
		/^\t+running tests:/ { late = 1 } # when time has run out
		/^\t\t(Test|Example|Fuzz)/ { if (late) failed[++n] = $1 }
		/^(ok  |FAIL|\?   )\t/ {
			if ($1 == "FAIL") report($2)
			n = late = 0
		}
		function report(package, i) {
			if (n == 0) print package
			for (i = 1; i <= n; i++) if (!above(failed[i])) print package, failed[i]
		}
		function above(test, j) {
			for (j = 1; j <= n; j++) if (index(failed[j], test "/") == 1) return 1
			return 0
		}'
}

# said reads what a part has said, and prints what one test has, and those below it.
said() {
	awk -v test="$1" '
		/^=== NAME  / { mine = about($3); next }
		/^ *--- [A-Z]+: / { mine = about($3) }
		/^(ok  |FAIL|PASS|\?   |exit status)/ { mine = 0 }
		mine { print "      " $0 }
		function about(name) { return name == test || index(name, test "/") == 1 }' | tail -n 60
}

# again prints the command that runs one test by itself.
again() {
	local flags=$1 directory=.${2#github.com/fencelock/fencelock} pattern
	if [[ -n $3 ]]; then
		pattern=$(sed -e 's/[][\.^$*+?(){}|]/\\&/g' -e 's#/#$/^#g' -e 's/.*/^&$/' <<<"$3")
		flags+=" -v -run '$pattern'"
	fi
	echo "go test $flags $directory"
}

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
interrupted=
trap 'interrupted=yes' INT TERM

ran= failed= # what the end says
most_suspects=2
suspects=() # tests that failed beside others: their package, name, part and command
hopeless=   # something failed that nothing excuses

# inexcusable finds what is never the machine's fault: races, leaks, and the rules of exclusion, tokens and grants.
inexcusable='DATA RACE|^panic:|fatal error:|goroutines are left|^\t+running tests:'
inexcusable+='|--- FAIL: .*(Exclusion|Tokens|OnlyOwn|OnlyThat|StaysOut|Resurrect|Rumour|Stale|SameGrant|Alive|NotGranted|BeforeRequest'
inexcusable+='|Contention|Concurrent|Races|Scramble)'
# The words of TestProcesses, whose other tests of a process keep time.
inexcusable+='|trusted token|was granted twice|was asked for .* after the greater|that the resource accepted went down'
inexcusable+='|increments were let through|before the lease of the one before had ended|and the one before had'

# run runs a part, and notes how it ended.
run() {
	local name=${names[$1]} command=${commands[$1]} began=$SECONDS log found flags package test
	log=$logs/$name
	if eval "$command" 2>&1 | tee -i "$log"; then
		ran+="  ok      $(clock $((SECONDS - began)))  $name"$'\n'
		return
	fi
	ran+="  FAILED  $(clock $((SECONDS - began)))  $name"$'\n'
	found=$(failures <"$log")
	if [[ -z $found ]]; then # it is no go test, or none of its packages came to an end
		hopeless=yes
		failed+="  $name"$'\n'"      ${command/#on_servers/go test}"$'\n'
		return
	fi
	! grep -qE "$inexcusable" "$log" || hopeless=yes
	[[ $command != *-race* ]] || flags=-race
	while read -r package test; do
		[[ -n $test ]] || hopeless=yes
		suspects+=("$package|$test|$name|$(again "-count=1${flags:+ $flags}" "$package" "$test")")
		failed+="  $package${test:+ $test}"$'\n'"      $(again "-count=1${flags:+ $flags}" "$package" "$test")"$'\n'
	done <<<"$found"
}

chosen=() total=0
[[ $# -gt 0 ]] || set -- "${names[@]}"
for want in "$@"; do
	found=
	for i in "${!names[@]}"; do
		[[ $want == "${names[i]}" ]] || continue
		found=yes chosen+=("$i") total=$((total + minutes[i]))
	done
	if [[ -z $found ]]; then
		echo "test.sh: there is no part $want, but ${names[*]}" >&2
		exit 2
	fi
done

echo "== ${#chosen[@]} parts, about $total min on two processors; all of them run, whatever fails"
n=0
for i in "${chosen[@]}"; do
	n=$((n + 1))
	if [[ -n $interrupted ]]; then
		ran+="  not run       ${names[i]}"$'\n'
		continue
	fi
	printf '\n== %d of %d: %s: %s, about %d min [at %s]\n' $n ${#chosen[@]} "${names[i]}" "${titles[i]}" "${minutes[i]}" "$(clock $SECONDS)"
	run "$i"
done

# Many of these tests keep time, and a machine may stand still for a moment. A few that failed beside
# others run again, each by itself, and have to pass three times in a row. What they said when
# they failed is printed all the same: it may be a bug, and is to be mended.
passed_alone=
if [[ -n $failed && -z $hopeless && -z $interrupted && ${#suspects[@]} -le $most_suspects ]]; then
	passed_alone=yes
	for suspect in "${suspects[@]}"; do
		IFS='|' read -r package test name command <<<"$suspect"
		printf '\n== again, by itself: %s %s\n' "$package" "$test"
		eval "${command/-count=1/-count=3}" 2>&1 | grep -vE '^=== (RUN|PAUSE|CONT)'
		[[ ${PIPESTATUS[0]} == 0 ]] || passed_alone=
	done
fi

for suspect in ${suspects[@]+"${suspects[@]}"}; do
	IFS='|' read -r package test name command <<<"$suspect"
	[[ -z $test ]] || printf '\n== what %s said when it failed\n%s\n' "$test" "$(said "$test" <"$logs/$name")"
done
printf '\n== what ran [in %s]\n%s' "$(clock $SECONDS)" "$ran"
if [[ -n $failed ]]; then
	printf '== what failed, and how to run it again by itself\n%s' "$failed"
fi
if [[ -n $interrupted ]]; then
	echo "== interrupted"
	exit 130
fi
if [[ -n $passed_alone ]]; then
	echo "== these failed beside other tests, and passed three times alone: they are to be mended"
	exit 0
fi
[[ -z $failed ]] || exit 1
echo "== all tests have passed"
