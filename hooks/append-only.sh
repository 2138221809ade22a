#!/bin/sh
# A pre-receive hook for servers without Python: the event log only ever grows.
#
# It refuses, for the ref of the log and with git alone: deletion, any history that is not the
# old one with commits after it, a merge, a commit without exactly one signature, a second
# genesis; and refs/replace/* altogether. It does not verify signatures or events: clones do that
# with 'git esaa verify'. Other refs are none of its business.
#
# To install it in a bare repository:  cp append-only.sh REPO.git/hooks/pre-receive
# The log's ref is refs/esaa/events, or what 'git config esaa.eventsRef' says in the repository.

set -u
LC_ALL=C GIT_NO_REPLACE_OBJECTS=1
export LC_ALL GIT_NO_REPLACE_OBJECTS

events=$(git config --get esaa.eventsRef || echo refs/esaa/events)

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

commands=$(cat)

# A hook that was here before this one was installed runs first, with the same input.
if [ -x "$0.before-esaa" ]; then
	printf '%s\n' "$commands" | "$0.before-esaa" "$@" || exit
fi

while read -r old new ref; do
	case $ref in
	"$events") check_log "$old" "$new" ;;
	refs/replace/*) is_zero "$new" || refuse "'$ref' would show another history than the signed one" ;;
	esac
done <<-LIST
	$commands
LIST
exit 0
