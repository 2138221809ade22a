_git_esaa_completion() {
    local IFS=$'\n'
    local response

    response=$(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD _GIT_ESAA_COMPLETE=bash_complete $1)

    for completion in $response; do
        IFS=',' read type value <<< "$completion"

        if [[ $type == 'dir' ]]; then
            COMPREPLY=()
            compopt -o dirnames
        elif [[ $type == 'file' ]]; then
            COMPREPLY=()
            compopt -o default
        elif [[ $type == 'plain' ]]; then
            COMPREPLY+=($value)
        fi
    done

    return 0
}

_git_esaa_completion_setup() {
    complete -o nosort -F _git_esaa_completion git-esaa
}

_git_esaa_completion_setup;

# `git esaa <TAB>`: git's completion calls this function, with its own view of the line in
# `words`, `cword` and `__git_cmd_idx`, and expects the space after a finished word from us.
_git_esaa() {
    local index=${__git_cmd_idx:-1} i
    local -a COMP_WORDS=(git-esaa "${words[@]:index+1}")
    local COMP_CWORD=$((cword - index))
    _git_esaa_completion git-esaa
    for i in "${!COMPREPLY[@]}"; do
        COMPREPLY[i]+=' '
    done
}
