#!/bin/sh
# A pre-receive hook for servers without Python: the event log only ever grows.
#
# It refuses, for the ref of the log and with git alone: deletion, any history that is not the
# old one with commits after it, a merge, a commit without exactly one signature, a second
# genesis; and refs/replace/* altogether. Beside the log it knows checkpoints, each a commit of one
# file that names an event of the log by its number, and never replaced, and proposals that an event
# of the log names; every other name there is refused. It does not verify signatures or events:
# clones do that with 'git esaa verify'. Other refs are none of its business.
#
# To install it in a bare repository:  cp append-only.sh REPO.git/hooks/pre-receive
# The log's ref is refs/esaa/events, or what 'git config esaa.eventsRef' says in the repository;
# without that setting, a branch whose tip has the form of an event is guarded as a log too.

set -u
LC_ALL=C GIT_NO_REPLACE_OBJECTS=1
export LC_ALL GIT_NO_REPLACE_OBJECTS

told=$(git config --get esaa.eventsRef)
events=${told:-refs/esaa/events}
case $events in refs/heads/*) shared=refs/heads/esaa/ ;; *) shared=refs/esaa/ ;; esac

refuse() {
	echo "git-esaa: refused: $1" >&2
	exit 1
}

is_zero() {
	case $1 in *[!0]*) return 1 ;; esac
	return 0
}

check_log() {
	old=$1 new=$2
	is_zero "$new" && refuse "'$events' is not deleted, ever"
	[ "$(git cat-file -t "$new" 2>/dev/null)" = commit ] || refuse "'$events' names commits only"
	if is_zero "$old"; then
		range=$new
	else
		git merge-base --is-ancestor "$old" "$new" ||
			refuse "'$events' only grows: $new does not continue $old; fetch it, then append"
		range="$old..$new"
	fi
	# One line a commit, newest first: id and parents. Each is the parent of the one before.
	expected=$new
	roots=0
	while read -r commit parent more; do
		[ "$commit" = "$expected" ] || refuse "'$events' is not linear at $commit"
		[ -z "$more" ] || refuse "$commit is a merge; an event has one predecessor"
		[ -n "$parent" ] || roots=$((roots + 1))
		expected=$parent
		signatures=$(git cat-file commit "$commit" | sed '/^$/q' | grep -c '^gpgsig')
		[ "$signatures" = 1 ] || refuse "$commit has $signatures signatures; an event has one"
	done <<-LIST
		$(git rev-list --topo-order --parents "$range")
	LIST
	is_zero "$old" || [ "$roots" = 0 ] || refuse "'$events' has a genesis already"
}

is_event() {
	[ -n "$1" ] && ! is_zero "$1" && git cat-file -e "$1:event.json" 2>/dev/null &&
		[ "$(git cat-file commit "$1" |
			grep -cE '^ESAA-(Log|Seq|Event-SHA256|Prev-SHA256): ')" = 4 ]
}

# A branch that nothing names as the log, and that is one by its form. Where it is, the server says.
check_branch() {
	old=$(git rev-parse -q --verify "$2") new=$1
	if [ -z "$told" ] && { is_event "$old" || is_event "$new"; }; then
		(events=$2 && check_log "${old:-0}" "$new") || exit 1
	fi
}

check_checkpoint() {
	old=$1 new=$2 ref=$3 seq=${3##*/}
	is_zero "$new" && refuse "'$ref' is a record, and not deleted"
	[ "$(git cat-file -t "$new" 2>/dev/null)" = commit ] || refuse "'$ref' names commits only"
	is_zero "$old" || git merge-base --is-ancestor "$old" "$new" || refuse "'$ref' is not replaced"
	is_zero "$old" && range=$new || range="$old..$new"
	for commit in $(git rev-list "$range"); do
		case $(git ls-tree "$commit") in
		"100644 blob "*"	checkpoint.json") ;;
		*) refuse "'$ref' is no checkpoint: it holds one file, checkpoint.json" ;;
		esac
		[ "$(git ls-tree "$commit" | wc -l)" -eq 1 ] || refuse "'$ref' holds more than a checkpoint"
		size=$(git cat-file -s "$commit:checkpoint.json")
		[ "$size" -le 1048576 ] || refuse "'$ref' is longer than a checkpoint"
		said=$(git cat-file blob "$commit:checkpoint.json" |
			sed -n 's/^{"checkpoint":{[^}]*"seq":\([0-9]*\),"tip":"\([0-9a-f]*\)",.*/\1 \2/p')
		tip=${said#* }
		[ "${said%% *}" = "$seq" ] || refuse "'$ref' is of another event than its name says"
		[ -n "$log" ] && git merge-base --is-ancestor "$tip" "$log" 2>/dev/null ||
			refuse "'$ref' names no event of the log"
		[ "$(git rev-list --count "$tip")" = "$seq" ] || refuse "'$ref' has another event's number"
	done
}

# The event that names a proposal has its commit in event.json, and its attempt in the message.
check_proposal() {
	new=$1 ref=$2 attempt=${2##*/}
	# Whether it is over, the state says, which is not read here: whoever pushes may delete it.
	is_zero "$new" && return
	[ "$(git cat-file -t "$new" 2>/dev/null)" = commit ] || refuse "'$ref' names commits only"
	[ "$(git cat-file commit "$new" | sed '/^$/q' | grep -c '^gpgsig')" = 1 ] ||
		refuse "'$ref' is no proposal: it has not one signature"
	[ -n "$log" ] && ! is_zero "$log" || refuse "'$ref' is of no log"
	for event in $(git rev-list -F --grep="ESAA-Attempt: $attempt" "$log"); do
		git cat-file blob "$event:event.json" |
			grep -qF "\"proposal\":{\"commit\":\"$new\"" && return
	done
	refuse "'$ref' is named by no event of the log"
}

commands=$(cat)
# The log as it will be after the push.
log=$(git rev-parse -q --verify "$events")
while read -r old new ref; do
	[ "$ref" != "$events" ] || log=$new
done <<-LIST
	$commands
LIST

# A hook that was here before this one was installed runs first, with the same input.
if [ -x "$0.before-esaa" ]; then
	printf '%s\n' "$commands" | "$0.before-esaa" "$@" || exit
fi

# What git takes for another name (gitrevisions(7)): nobody could push to that one any more.
short=${events#refs/}
branch=${short#heads/}
check_meaning() {
	case $2 in
	refs/heads/refs/* | refs/tags/refs/* | refs/remotes/refs/* | refs/refs/*) ;;
	refs/tags/"$short" | refs/remotes/"$short" | refs/remotes/"$short"/HEAD | refs/heads/heads/*) ;;
	refs/tags/"$branch" | refs/remotes/"$branch" | refs/remotes/"$branch"/HEAD) ;;
	refs/tags/esaa/checkpoints/* | refs/tags/esaa/proposals/*) ;;
	refs/heads/"$short")
		[ -z "$told" ] && { is_event "$1" || is_event "$(git rev-parse -q --verify "$2")"; } && return
		;;
	*) return ;;
	esac
	is_zero "$1" || refuse "git would take '$2' for another name, as that of the log"
}

while read -r old new ref; do
	check_meaning "$new" "$ref"
	case $ref in
	"$events") check_log "$old" "$new" ;;
	"$shared"checkpoints/[1-9]*)
		case ${ref#"$shared"checkpoints/} in *[!0-9]*) refuse "'$ref' is no name that we know" ;; esac
		check_checkpoint "$old" "$new" "$ref"
		;;
	"$shared"proposals/*/*/*) is_zero "$new" || refuse "'$ref' is no name that we know" ;;
	"$shared"proposals/*/*-A[1-9]*) check_proposal "$new" "$ref" ;;
	"$shared"* | refs/esaa/*) is_zero "$new" || refuse "'$ref' is no name that we know" ;;
	[Rr][Ee][Ff][Ss]/[Ee][Ss][Aa][Aa] | [Rr][Ee][Ff][Ss]/[Ee][Ss][Aa][Aa]/*)
		refuse "'$ref' is the folder of our records, by another name"
		;;
	refs/heads/*) check_branch "$new" "$ref" ;;
	refs/replace/*) is_zero "$new" || refuse "'$ref' would show another history than the signed one" ;;
	esac
done <<-LIST
	$commands
LIST
exit 0
