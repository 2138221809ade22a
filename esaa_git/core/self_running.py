"""Files that run by themselves: what a build server, an editor, an agent or git obeys unasked.

Opening a folder, entering it with a shell, pushing a branch or installing packages is enough for
what stands in them to be run, or to be told to an agent. The list goes by family, at any depth and
in any case: that a tool reads a name at the root alone today is its own business. What is source,
or is started by its name (Makefile, package.json, setup.py, Dockerfile, pyproject.toml), is not in
it.

A pattern is one name, a file's or a folder's with all below it, or two names in a row; `*` stands
for any characters of a name. A contract names a version of the list (`prohibitions.self_running`)
and with it every log that pins it, so a version that was released is never changed: the next one is
added beside it. Sources are the documents of the tools; each stands above what was taken from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from esaa_git.core.paths import folded_name

GIT_SETTINGS: Final = (".gitignore", ".gitattributes")
"""What says which work git sees, and how; a kind that does not open it leaves it out."""

_VERSION_1: Final[Mapping[str, str]] = MappingProxyType(
    {
        # https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax
        # https://docs.gitlab.com/ci/yaml/ https://docs.gitea.com/usage/actions
        # https://forgejo.org/docs/latest/user/actions/
        # https://circleci.com/docs/configuration-reference/ https://buildkite.com/docs/pipelines
        # https://docs.semaphoreci.com/reference/pipeline-yaml
        # https://woodpecker-ci.org/docs/usage/workflow-syntax https://docs.drone.io/yaml/
        # https://docs.travis-ci.com/user/tutorial/ https://cirrus-ci.org/guide/writing-tasks/
        # https://man.sr.ht/builds.sr.ht/ https://tekton.dev/docs/ https://pipelinesascode.com/docs/
        # https://www.jetbrains.com/help/teamcity/kotlin-dsl.html
        # https://www.jetbrains.com/help/space/automation.html
        # https://learn.microsoft.com/azure/devops/pipelines/yaml-schema/
        # https://www.jenkins.io/doc/book/pipeline/jenkinsfile/ https://jenkins-x.io/v3/
        # https://support.atlassian.com/bitbucket-cloud/docs/configure-bitbucket-pipelinesyml/
        # https://cloud.google.com/build/docs/build-config-file-schema
        # https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html
        # https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file.html
        # https://www.appveyor.com/docs/appveyor-yml/
        # https://zuul-ci.org/docs/zuul/latest/project-config.html
        # https://docs.screwdriver.cd/user-guide/configuration/ https://devcenter.bitrise.io/
        # https://docs.codemagic.io/yaml-basic-configuration/yaml-getting-started/
        # https://developer.harness.io/docs/ https://docs.cloudbees.com/docs/cloudbees-codeship/
        # https://docs.gocd.org/current/advanced_usage/pipelines_as_code.html
        # https://ovh.github.io/cds/docs/concepts/files/ https://docs.prow.k8s.io/docs/
        # https://docs.ci.openshift.org/ https://packit.dev/docs/configuration
        # https://openbuildservice.org/help/manuals/obs-user-guide/ https://go-vela.github.io/docs/
        # https://docs.taskcluster.net/docs/reference/integrations/github
        # https://github.com/evergreen-ci/evergreen/wiki https://docs.onedev.io/category/ci-cd
        # https://buddy.works/docs/yaml https://codefresh.io/docs/docs/pipelines/
        # https://developer.apple.com/documentation/xcode/writing-custom-build-scripts
        # https://docs.cnb.cool/ https://sourcecraft.dev/portal/docs/en/sourcecraft/ci-cd-ref/
        # https://github.com/bazelbuild/continuous-integration https://blog.tangled.org/ci
        # https://radicle.xyz/guides/protocol https://expeditor.chef.io/docs/ https://agola.io/doc/
        # https://docs.espressif.com/projects/idf-ci/en/latest/ https://scrutinizer-ci.com/docs/
        # https://docs.codeclimate.com/docs/advanced-configuration https://www.rultor.com/
        # https://documentation.codeship.com/ https://docs.appcircle.io/ https://circleci.com/docs/
        # https://docs.codacy.com/ https://docs.sonarsource.com/sonarqube-cloud/
        "ci": """
            .github .gitlab .gitea .forgejo .gogs .circleci .buildkite .semaphore .woodpecker
            .builds .tekton .teamcity .azure-pipelines .azuredevops .pipelines .jenkins .ci
            ci_scripts zuul.d .zuul.d .harness .cds .prow .ci-operator .copr .obs .buddy .codefresh
            .sourcecraft .bazelci .tangled .radicle .expeditor .agola .concourse .kokoro .workflow
            .appcircle .nevercode *.gitlab-ci.y*ml .gitlab-ci*.y*ml *.gitlab-ci.jsonnet
            .woodpecker*.y*ml .drone.* .drone*.y*ml .travis*.y*ml .cirrus* .build.y*ml
            azure-pipeline*.y*ml .azure-pipeline*.y*ml .vsts-ci*.y*ml jenkinsfile* *.jenkinsfile
            jenkins-x*.y*ml bitbucket-pipelines*.y*ml cloudbuild*.y*ml cloudbuild*.json
            buildspec*.y*ml appspec.y*ml appspec.json appveyor*.y*ml .appveyor*.y*ml zuul.y*ml
            .zuul.y*ml screwdriver.y*ml wercker.y*ml codemagic.y*ml bitrise.y*ml .bitrise*.y*ml
            shippable.y*ml .shippable.y*ml codeship-*.y*ml *.gocd.y*ml *.gocd.json .prow.y*ml
            .ci-operator.y*ml packit.y*ml .packit.y*ml .vela.y*ml .vela.star .vela.go
            .taskcluster.y*ml evergreen.y*ml .evergreen*.y*ml .onedev-buildspec.y*ml buddy.y*ml
            .buddy.y*ml codefresh.y*ml .codefresh.y*ml .space.kts .coding-ci.y*ml .cnb.y*ml
            .pipeline-config.y*ml .ci.y*ml .ci.toml .idf_ci.toml .scrutinizer.y*ml .hound.y*ml
            .lgtm.y*ml .codeclimate.y*ml .rultor.y*ml .landscape.y*ml .gitlab-ci .gitee .gitcode
            .azure-devops .pipeline circle.y*ml .codacy.y*ml .sonarcloud.properties
            """,
        # https://code.visualstudio.com/docs/debugtest/tasks
        # https://code.visualstudio.com/docs/editing/workspaces/workspaces
        # https://learn.microsoft.com/visualstudio/ide/open-folder
        # https://www.jetbrains.com/help/idea/run-debug-configuration.html
        # https://www.jetbrains.com/help/fleet/ https://zed.dev/docs/tasks
        # https://vimhelp.org/options.txt.html https://neovim.io/doc/user/options.html
        # https://www.gnu.org/software/emacs/manual/html_node/emacs/Directory-Variables.html
        # https://docs.projectile.mx/projectile/configuration.html
        # https://www.sublimetext.com/docs/projects.html https://help.eclipse.org/
        # https://theia-ide.org/docs/ https://docs.helix-editor.com/configuration.html
        # https://help.panic.com/nova/ https://lite-xl.com/user-guide/
        # https://docs.kde.org/stable5/en/kate/kate/
        # https://macromates.com/blog/2011/git-style-configuration/
        # https://lazy.folke.io/configuration
        # https://github.com/neoclide/coc.nvim/wiki/Using-the-configuration-file
        # https://github.com/folke/neoconf.nvim https://luals.github.io/wiki/configuration/
        # https://clangd.llvm.org/config https://rust-analyzer.github.io/book/configuration.html
        # https://solargraph.org/guides/configuration https://scalameta.org/metals/docs/
        # https://github.com/OmniSharp/omnisharp-roslyn/wiki/Configuration-Options
        # https://docs.posit.co/ide/user/ide/guide/code/projects.html https://docs.lapce.dev/
        # https://github.com/ycm-core/YouCompleteMe https://haskell-language-server.readthedocs.io/
        # https://clojure-lsp.io/settings/
        "editors": """
            .vscode .vscode-insiders .vscodium .vs .idea .run .fleet .zed .vim .nvim .helix .nova
            .theia .settings .externaltoolbuilders .lapce .metals .bloop .nlsp-settings
            *.code-workspace *.run.xml *.sublime-project *.sublime-workspace *.sublime-build .exrc
            .nexrc .vimrc* _vimrc .gvimrc .nvimrc .nvim.lua .lvimrc .local.vimrc .localvimrc
            .vimspector.json .lazy.lua .neoconf.json coc-settings.json .dir-locals.el
            .dir-locals-2.el .projectile .project .classpath .factorypath .tm_properties
            .lite_project.lua .kateproject* .clangd .ccls .luarc.json* .rust-analyzer.toml
            rust-analyzer.toml .solargraph.y*ml omnisharp.json .brackets.json .swiftpm *.rproj
            .ycm_extra_conf.py hie.yaml .lsp .clj-kondo .nrepl.edn .emacs.desktop
            """,
        # https://code.claude.com/docs/en/settings https://code.claude.com/docs/en/hooks
        # https://agents.md/ https://developers.openai.com/codex/config https://geminicli.com/docs/
        # https://opencode.ai/docs/config/ https://docs.github.com/copilot/customizing-copilot
        # https://cursor.com/docs/context/rules https://docs.windsurf.com/windsurf/cascade/memories
        # https://docs.cline.bot/customization/cline-rules
        # https://docs.roocode.com/features/custom-instructions https://kilo.ai/docs/
        # https://docs.continue.dev/customize/deep-dives/rules
        # https://aider.chat/docs/config/aider_conf.html https://junie.jetbrains.com/docs/
        # https://www.jetbrains.com/help/ai-assistant/configure-project-rules.html
        # https://kiro.dev/docs/steering/ https://docs.aws.amazon.com/amazonq/latest/qdeveloper-ug/
        # https://docs.augmentcode.com/setup-augment/guidelines https://docs.trae.ai/ide/rules
        # https://block.github.io/goose/docs/guides/using-goosehints/
        # https://docs.warp.dev/agent-platform/capabilities/rules https://docs.factory.ai/
        # https://docs.openhands.dev/ https://docs.devin.ai/ https://docs.tabnine.com/
        # https://sourcegraph.com/docs/cody https://ampcode.com/manual
        # https://docs.replit.com/replitai/replit-dot-md https://github.com/charmbracelet/crush
        # https://qwenlm.github.io/qwen-code-docs/ https://modelcontextprotocol.io/docs/
        # https://zed.dev/docs/ai/rules https://support.atlassian.com/rovo/docs/use-rovo-dev-cli/
        # https://docs.firebender.com/ https://docs.zencoder.ai/ https://docs.coderabbit.ai/
        # https://www.greptile.com/docs/ https://antigravity.google/docs/
        # https://docs.mistral.ai/mistral-vibe/ https://www.codebuddy.ai/docs/
        # https://docs.qoder.com/ https://platform.iflow.cn/en/cli/
        # https://moonshotai.github.io/kimi-cli/ https://forgecode.dev/docs/
        # https://firebase.google.com/docs/studio/set-up-gemini
        # https://github.com/intellectronica/ruler https://rulesync.dyoshikawa.com/
        # https://docs.sweep.dev/ https://qodo-merge-docs.qodo.ai/ https://gptme.org/docs/
        # https://github.github.com/spec-kit/ https://smithery.ai/docs/
        "agents": """
            .claude .claude-plugin .agents .agent .codex .gemini .opencode .copilot .cursor*
            .windsurf* .codeium* .cline* .roo .roorules* .roomodes .kilo* .continue* .aider* .junie
            .aiassistant .kiro .amazonq .augment* .trae .goose .goosehints .warp .factory
            .openhands* .devin .tabnine .cody .sourcegraph .amp .crush .qwen .mcp .zencoder
            .firebender .rovodev .forge .plandex* .mentat* .antigravity .vibe .codebuddy .qoder
            .iflow .lingma .comate .marscode .kimi .grok .pi .pearai .bolt .lovable .ruler .rulesync
            .rules .gpt-engineer .coderabbit .greptile .deepagents .letta .jules .void claude.md
            claude.*.md agents.md agents.*.md agent.md gemini.md gemini.*.md qwen.md codex.md
            crush.md warp.md iflow.md codebuddy.md replit.md copilot-instructions.md .claude.json
            .clauderules .agentrules .mcp*.json mcp.json mcp_config.json opencode.json*
            .opencode.json* crush.json .crush.json firebender.json greptile.json forge.yaml
            .coderabbit.y*ml sweep.y*ml .sweep.y*ml .rovodev.y*ml airules.md .airules .ai-rules
            .aiexclude .aiignore .geminiignore .claudeignore .rooignore .llmrules .ai .serena
            .specify .qodo .pr_agent.toml .bito* ellipsis.y*ml gptme.toml .codebuff codebuff.json
            .refact amazonq.md claude_desktop_config.json smithery.yaml .codegpt .bmad*
            """,
        # https://containers.dev/implementors/spec/ https://ona.com/docs/
        # https://docs.replit.com/replit-app/configuration
        # https://codesandbox.io/docs/learn/devboxes/task https://devfile.io/docs/
        # https://help.glitch.com/
        # https://developer.stackblitz.com/platform/webcontainers/project-config
        # https://firebase.google.com/docs/studio
        # https://docs.docker.com/compose/how-tos/multiple-compose-files/merge/
        # https://mybinder.readthedocs.io/en/latest/using/config_files.html
        # https://www.okteto.com/docs/ https://docs.ddev.com/en/stable/users/configuration/hooks/
        # https://docs.lando.dev/ https://coder.com/docs
        # https://developer.hashicorp.com/vagrant/docs/plugins https://www.daytona.io/docs/
        # https://flox.dev/docs/ https://www.jetify.com/docs/devbox/ https://docs.codeanywhere.com/
        "containers": """
            .devcontainer .codesandbox .idx .binder .ddev .okteto .daytona .coder .codeanywhere .c9
            .flox .devbox .vagrant .vagrantplugins .cloudshell .devcontainer*.json devcontainer.json
            .gitpod* .replit* replit.nix sandbox.config.json .stackblitzrc glitch.json .devfile.y*ml
            devfile.y*ml .lando*.y*ml docker-compose.override.y*ml compose.override.y*ml
            """,
        # https://git-scm.com/docs/gitattributes https://git-scm.com/docs/gitignore
        # https://git-scm.com/docs/gitmodules https://git-scm.com/docs/githooks
        # https://git-scm.com/docs/git-config
        # https://github.com/git-lfs/git-lfs/blob/main/docs/man/git-lfs-config.adoc
        # https://typicode.github.io/husky/ https://pre-commit.com/ https://prek.j178.dev/
        # https://lefthook.dev/configuration/ https://github.com/sds/overcommit
        # https://github.com/toplenboren/simple-git-hooks https://docs.captainhook.info/
        # https://github.com/lint-staged/lint-staged
        # https://commitlint.js.org/reference/configuration https://jorisroovers.com/gitlint/
        # https://docs.opendev.org/opendev/git-review/latest/
        # https://www.mercurial-scm.org/doc/hgrc.5.html https://sapling-scm.com/docs/
        # https://docs.jj-vcs.dev/ https://commitizen-tools.github.io/commitizen/
        # https://secure.phabricator.com/book/phabricator/article/arcanist_new_project/
        # https://www.reviewboard.org/docs/rbtools/latest/rbt/configuration/
        # https://github.com/phpro/grumphp https://thoughtworks.github.io/talisman/
        "git": """
            .gitattributes .gitignore .gitmodules .gitconfig* .lfsconfig .gitreview .gitlint
            .gitallowed .githooks .git-hooks .git_hooks .hooks .husky .lefthook .config/git
            .config/husky .hg .svn .sl .jj .bzr .huskyrc* husky.config.* .pre-commit* prek.toml
            .prek.toml lefthook*.y*ml .lefthook*.y*ml lefthook*.toml .lefthook*.toml lefthook*.json*
            .lefthook*.json* .config/lefthook* .overcommit* simple-git-hooks.* .simple-git-hooks.*
            captainhook.json .lintstagedrc* lint-staged.config.* .commitlintrc* commitlint.config.*
            .czrc .cz.* .hgrc .arcconfig .arclint .reviewboardrc .cz-config.js grumphp.y*ml
            .talismanrc .gitguardian.y*ml .trufflehog*
            """,
        # https://docs.npmjs.com/cli/configuring-npm/npmrc https://yarnpkg.com/configuration/yarnrc
        # https://pnpm.io/pnpmfile https://bun.com/docs/runtime/bunfig
        # https://packaging.python.org/en/latest/specifications/pypirc/
        # https://pip.pypa.io/en/stable/topics/configuration/
        # https://docs.astral.sh/uv/reference/settings/
        # https://python-poetry.org/docs/configuration/ https://pdm-project.org/latest/usage/config/
        # https://doc.rust-lang.org/cargo/reference/config.html
        # https://rust-lang.github.io/rustup/overrides.html https://maven.apache.org/configure.html
        # https://docs.gradle.org/current/userguide/gradle_wrapper.html
        # https://bundler.io/man/bundle-config.1.html
        # https://www.scala-sbt.org/1.x/docs/Command-Line-Reference.html
        # https://cabal.readthedocs.io/en/stable/cabal-project-description-file.html
        # https://learn.microsoft.com/nuget/reference/nuget-config-file
        # https://bazel.build/run/bazelrc https://github.com/bazelbuild/bazelisk
        # https://buck2.build/docs/concepts/buckconfig/
        # https://www.pantsbuild.org/stable/docs/using-pants/key-concepts/options
        # https://please.build/config.html https://moonrepo.dev/docs https://nx.dev/docs
        # https://docs.chef.io/workstation/config_rb/
        # https://developer.hashicorp.com/terraform/cli/config/config-file
        # https://docs.ansible.com/ansible/latest/reference_appendices/config.html
        # https://codeberg.org/leiningen/leiningen
        "packages": """
            .yarn .cargo .mvn .gradle gradle/wrapper .bundle .nuget .moon .proto .nx .terraform
            .ansible .chef .npmrc .yarnrc* .pnp.* .pnpmfile.* bunfig.toml .bunfig.toml .pypirc
            pip.conf pip.ini uv.toml .uv.toml poetry.toml pdm.toml .pdm.toml .pdm-python .condarc
            rust-toolchain rust-toolchain.toml .gemrc .sbtopts .jvmopts cabal.project.local*
            nuget.config .bazelrc* *.bazelrc .bazelversion .bazeliskrc tools/bazel .buckconfig*
            .pants.rc .plzconfig* .prototools .terraformrc terraform.rc ansible.cfg .corepack*
            pnpmfile.* profiles.clj
            """,
        # https://direnv.net/man/direnv-stdlib.1.html https://github.com/hyperupcall/autoenv
        # https://github.com/Tarrasch/zsh-autoenv https://mise.jdx.dev/configuration.html
        # https://asdf-vm.com/manage/configuration.html https://sdkman.io/usage/
        # https://github.com/nvm-sh/nvm
        # https://www.gnu.org/software/bash/manual/html_node/Bash-Startup-Files.html
        # https://zsh.sourceforge.io/Doc/Release/Files.html https://cashapp.github.io/hermit/
        # https://vite.dev/guide/env-and-mode
        # https://docs.docker.com/compose/how-tos/environment-variables/
        # https://github.com/pyenv/pyenv https://github.com/tfutils/tfenv
        "shells": """
            .direnv .mise .hermit .config/mise* .config/direnv .envrc* .env .env.* .env-* .autoenv*
            mise.toml mise.*.toml .mise.* rtx.toml .rtx.toml .tool-versions .sdkmanrc .nvmrc
            .node-version .python-version .ruby-version .java-version .go-version .terraform-version
            .ruby-gemset .jabbarc .bashrc .bash_profile .bash_login .bash_logout .bash_aliases
            .profile .zshrc .zshenv .zprofile .zlogin .zlogout .cshrc .tcshrc .kshrc
            mise/config.toml mise/config.*.toml .asdfrc .direnvrc .ondirrc
            """,
        # https://docs.python.org/3/library/site.html https://docs.python.org/3/library/pdb.html
        # https://sourceware.org/gdb/current/onlinedocs/gdb.html/Auto_002dloading.html
        # https://lldb.llvm.org/man/lldb.html
        # https://ghc.gitlab.haskell.org/ghc/doc/users_guide/ghci.html
        # https://stat.ethz.ch/R-manual/R-devel/library/base/html/Startup.html
        # https://hexdocs.pm/iex/IEx.html https://www.erlang.org/doc/apps/erts/erl_cmd.html
        # https://ruby.github.io/irb/ https://github.com/pry/pry/wiki/Pry-rc
        # https://github.com/ruby/debug https://ocaml.org/manual/toplevel.html
        # https://docs.octave.org/latest/Startup-Files.html
        # https://metacpan.org/dist/Test-Harness/view/bin/prove
        # https://www.php.net/manual/configuration.file.per-user.php
        # https://perldoc.perl.org/perldebug
        # https://httpd.apache.org/docs/current/howto/htaccess.html https://rubydoc.info/gems/yard/
        # https://ipython.readthedocs.io/en/stable/config/
        # https://jupyter.readthedocs.io/en/latest/use/config.html
        "interpreters": """
            .jupyter .ipython sitecustomize.py usercustomize.py *.pth *._pth pyvenv.cfg .pdbrc
            .pdbrc.py .pythonrc* .gdbinit* *-gdb.py *-gdb.gdb .lldbinit* .ghci .ocamlinit .rprofile
            .renviron .rdata .iex.exs .erlang .irbrc .pryrc .rdbgrc* .byebugrc .octaverc .proverc
            .perldb .yardopts .user.ini .htaccess ipython_config.py profile_default
            jupyter_*config.py jupyter_*config.json .swiplrc .busted .luacheckrc
            """,
        # https://docs.renovatebot.com/configuration-options/
        # https://docs.github.com/code-security/dependabot
        # https://docs.mergify.com/configuration/file-format/
        # https://kodiakhq.com/docs/config-reference https://bors.tech/documentation/
        # https://docs.pullapprove.com/ https://docs.codecov.com/docs/codecov-yaml
        # https://docs.sourcery.ai/ https://docs.deepsource.com/
        # https://github.com/restyled-io/restyler/wiki https://docs.snyk.io/ https://docs.mend.io/
        # https://imgbot.net/docs/ https://allcontributors.org/docs/
        # https://github.com/gitleaks/gitleaks https://github.com/Yelp/detect-secrets
        # https://semantic-release.gitbook.io/semantic-release/
        # https://goreleaser.com/customization/hooks/ https://github.com/release-it/release-it
        # https://intuit.github.io/auto/ https://docs.readthedocs.com/platform/stable/config-file/
        # https://docs.netlify.com/configure-builds/file-based-configuration/
        # https://vercel.com/docs/project-configuration https://render.com/docs/blueprint-spec
        # https://fly.io/docs/reference/configuration/
        # https://docs.railway.com/guides/config-as-code
        # https://devcenter.heroku.com/articles/build-docker-images-heroku-yml
        # https://docs.aws.amazon.com/amplify/latest/userguide/build-settings.html
        # https://docs.aws.amazon.com/elasticbeanstalk/latest/dg/ebextensions.html
        # https://docs.upsun.com/ https://docs.digitalocean.com/products/app-platform/
        # https://nixpacks.com/docs/ https://railpack.com/ https://zeabur.com/docs
        # https://caprover.com/docs/captain-definition-file.html
        # https://www.clever-cloud.com/developers/
        # https://docs.cpanel.net/knowledge-base/web-services/guide-to-git-deployment/
        # https://docs.lagoon.sh/ https://docs.spacelift.io/
        # https://www.runatlantis.io/docs/repo-level-atlantis-yaml https://docs.envzero.com/
        # https://docs.terrateam.io/ https://docs.digger.dev/ https://fleet.rancher.io/
        # https://fluxcd.io/flux/ https://argo-cd.readthedocs.io/en/stable/user-guide/parameters/
        # https://devcenter.scalingo.com/ https://github.com/googleapis/release-please
        "bots and deployment": """
            .dependabot .probot .netlify .vercel .now .fly .railway .amplify .ebextensions
            .elasticbeanstalk .do .platform .upsun .scalingo .clever .stormkit .spacelift .env0
            .terrateam .flux .harnesscd .scalr renovate*.json* .renovate* .mergify* .kodiak.toml
            bors.toml .bors.toml .pullapprove* .sourcery.y*ml .deepsource.toml .restyled*
            .stickler.y*ml .imgbotconfig .snyk .whitesource codecov.y*ml .codecov.y*ml
            .coveralls.y*ml .all-contributorsrc .gitleaks* .secrets.baseline .releaserc*
            release.config.* .release-it* .goreleaser*.y*ml .semrel* .autorc .readthedocs*
            readthedocs.y*ml netlify.toml vercel.json now.json render.y*ml fly.toml fly.*.toml
            railway.json railway.toml heroku.y*ml amplify.y*ml apprunner.y*ml .platform.app.y*ml
            .magento.app.y*ml .lagoon.y*ml nixpacks.toml railpack.json zeabur.json koyeb.y*ml
            captain-definition .cpanel.y*ml scalingo.json atlantis.y*ml env0.y*ml digger.y*ml
            fleet.y*ml .argocd* .flux.y*ml .pyup.y*ml greenkeeper.json release-please-config.json
            """,
        # https://learn.microsoft.com/windows/win32/shell/autoplay
        # https://learn.microsoft.com/windows/win32/shell/how-to-customize-folders-with-desktop-ini
        # https://learn.microsoft.com/windows/win32/shell/library-schema-entry
        # https://specifications.freedesktop.org/desktop-entry-spec/latest/
        "file managers": """
            desktop.ini autorun.inf .directory *.lnk *.scf *.library-ms *.searchconnector-ms
            """,
        # https://docs.github.com/repositories/managing-your-repositorys-settings-and-features
        # https://docs.gitlab.com/user/project/codeowners/
        # https://www.kubernetes.dev/docs/guide/owners/
        # https://www.gnu.org/software/inetutils/manual/html_node/The-_002enetrc-file.html
        # https://git-scm.com/docs/git-credential-store
        # https://www.postgresql.org/docs/current/libpq-pgpass.html
        # https://dev.mysql.com/doc/refman/8.4/en/option-files.html https://getsops.io/docs/
        # https://developers.cloudflare.com/workers/configuration/secrets/
        # https://flask.palletsprojects.com/en/stable/cli/
        "reviews and credentials": """
            .aws .azure .gcloud .kube .ssh .gnupg .secrets codeowners owners owners_aliases .netrc
            _netrc .git-credentials .pgpass .my.cnf .mylogin.cnf .dockercfg .boto .s3cfg .sops.y*ml
            .dev.vars* .vault-token .flaskenv .htpasswd
            """,
    }
)

VERSIONS: Final[Mapping[int, Mapping[str, str]]] = MappingProxyType({1: _VERSION_1})
"""Every version of the list: families by name, each with its patterns separated by white space."""

FILES_ONLY: Final = frozenset({"owners"})
"""Names that a folder of source may have as well: on the list as the last name of a path alone."""

OPEN: Final = frozenset({".env.example", ".env.sample", ".env.template", ".env.dist"})
"""Names that a pattern takes in and no tool obeys: they show what the real file holds."""


class Found(NamedTuple):
    """Why a path is on the list: the family, and the pattern of it."""

    family: str
    pattern: str


def families(version: int) -> Mapping[str, tuple[str, ...]]:
    """Return the patterns of a version of the list by family, in their order."""
    return {name: tuple(text.split()) for name, text in VERSIONS[version].items()}


def runs_by_itself(path: str, version: int) -> Found | None:
    """Return the family and pattern by which a path runs by itself, or None where it does not.

    Takes a path that `normalise_path` accepts. It is on the list where one of its names is, or two
    in a row are: the folder and all below it, in any case and any spelling that some system folds.
    """
    names = [folded_name(name) for name in path.split("/")]
    if names[-1] in OPEN:
        names.pop()
    for at, name in enumerate(names):
        if name in FILES_ONLY and at + 1 < len(names):
            continue
        found = _listed(name, version)
        if found is None and at + 1 < len(names):
            found = _listed(f"{name}/{names[at + 1]}", version)
        if found is not None:
            return found
    return None


def patterns(version: int) -> Iterator[Found]:
    """Yield every pattern of a version with its family."""
    for family, listed in families(version).items():
        for pattern in listed:
            yield Found(family, pattern)


@lru_cache(maxsize=1 << 14)
def _listed(name: str, version: int) -> Found | None:
    """Return the pattern that one name, or two in a row, fall under; folders recur in paths."""
    plain, shapes = _compiled(version)
    found = plain.get(name)
    if found is not None:
        return found
    return next((one for shape, one in shapes if shape.fullmatch(name)), None)


@cache
def _compiled(
    version: int,
) -> tuple[Mapping[str, Found], tuple[tuple[re.Pattern[str], Found], ...]]:
    """Return the patterns that are plain, by themselves, and those with a `*`, compiled."""
    plain: dict[str, Found] = {}
    shapes = []
    for found in patterns(version):
        if "*" in found.pattern:
            shape = "[^/]*".join(map(re.escape, found.pattern.split("*")))
            shapes.append((re.compile(shape), found))
        else:
            plain.setdefault(found.pattern, found)
    return plain, tuple(shapes)
