#!/bin/bash
# creator.c for machines without a compiler; only builtins, so that it stays one process.
rule=────────────────────────────────────────
read -r id </proc/sys/kernel/random/uuid # of two tasks with one id the daemon takes the later for lost
now=$EPOCHREALTIME
for word in "${@:2}"; do
  case $word in
    --topic=*) topic=${word#*=} ;;
    --task-id=*) id=${word#*=} ;;
    --requirements=*) requirements=${word#*=} ;;
  esac
done
case $1 in
  create)
    if [ -w starts ]; then printf '%s %s\n' "$topic" "$now" >>starts; fi
    printf '%s\n\n✅ 执行成功\n%s\n任务ID: %s\n状态: 已完成\n' "$requirements" "$rule" "$id"
    ;;
  result)
    printf -v article '# An article\n\nIt says nothing, at once.\n'
    printf '\n📄 任务结果\n%s\n任务ID: %s\n状态: ✅ 已完成\n%s\n' "$rule" "$id" "$rule"
    printf '\n📋 生成结果\n%s\n1. ARTICLE\n%s\n内容:\n%s\n字数: %s\n%s\n' "$rule" "$rule" "$article" "${#article}" "$rule"
    ;;
  *) printf '[]\n' ;;
esac
