"""The cues that claims are read by, Chinese and English side by side.

X stands for the mention in question and Y for any other one; texts are normalised and simplified,
and "n't" is written " not" (see `claims_read`). Chinese cues do not occur in English text and the
other way round, so code-mixed answers need no case of their own.
"""

from __future__ import annotations

import re

X, Y = "\ue8fe", "\ue8ff"


def cue(*choices: str) -> re.Pattern[str]:
    return re.compile("|".join(choices).replace("X", X).replace("Y", Y).replace("T", f"[{X}{Y}]"))


# --- Words that several cues are made of.
MADE = (
    r"(?:开发|研发|训练|创造|创建|打造|制作|设计|推出|构建|做|造|创立|微调|发布|研制|搭建|培育"
    r"|运营|维护|拥有|提供|出品|孵化)"
)
MADE_EN = (
    r"(?:made|creat(?:ed|ing)|buil[td](?:ing)?|develop(?:ed|ing)|train(?:ed|ing)|design(?:ed|ing)"
    r"|produced|invented|make|create|build|develop|train|(?:fine-?)?tuned|derived|adapted|crafted"
    r"|engineered|launched|released|programmed|provided|distilled|own(?:ed|s)?|operated|maintained"
    r"|brought to life)"
)
MAKER_NOUN = (
    r"(?:(?:开发|研发|研制|创造|创建|制造|缔造|训练|设计|制作|提供|运营)(?:者|方|商|人|团队|公司"
    r"|单位|机构)"
    r"|作者|厂商|公司|团队|主人|东家)"
)
MAKER_NOUN_EN = r"(?:developer|creator|maker|author|trainer|builder|owner|vendor|designer)s?"
# What links a company or another model to the speaker, or is denied to do so.
LINK = (
    r"(?:关系|关联|联系|瓜葛|隶属|从属|归属|附属|合作|往来|相干|相关|无关|同一|一回事|一家|两回事"
    r"|挂钩|沾边|交集|渊源|共享|共用)"
)
LINK_EN = (
    r"(?:affiliat(?:ed|ion|ions)|associat(?:ed|ion|ions)|connect(?:ed|ion|ions)"
    r"|relat(?:ed|ion|ions|ionships?)|partner(?:ed|ships?)?|link(?:ed|s)?|ties?|tied|involve(?:d"
    r"|ment)"
    r"|endorsed|sponsored|owned|operated|controlled|supported|employed|backed|work(?:s|ed|ing)?"
    r"|part|belongs?|shar(?:es?|ed|ing)|nothing to do)"
)

# --- Cutting a sentence and telling who a clause is about.
# Where one clause ends and the next begins; words of contrast open the next clause.
CLAUSE_END = cue(
    r"[,;:|(){}\[\]、，；：]+|—+|--+|\.{2,}| - ",
    r"(?=但是|但(?!愿)|不过(?!是)|然而|而是|而非|而不是|(?<=[^,，])而我|可是|因为)",
    r"\b(?=(?:but|while|whereas|however|although|though|yet|because|since|even if|rather than"
    r"|instead of)\b)",
    r"\b(?=and (?:i(?! (?:are|have)\b)|my|am|have|not|was|is|it|they)\b)",
    r"(?<=T)\s(?=not T)",
)
CONTRAST = cue(
    r"^\s*(?:但|不过|然而|而是|而我|其实|实际上|事实上|可是|可我|我其实)",
    r"^\s*(?:but|however|yet|while|whereas|in fact|actually|in reality)\b",
    r"^(?:可|其实|实际上)",
)
# A clause that gives way to the one behind it.
CONCESSION = cue(r"^\s*(?:虽然|虽说|尽管)", r"^\s*(?:although|though|while|even though)\b")
SELF = cue(
    r"我|本助手|本模型|本人|自己|[和与跟](?:你|您)(?:对话|聊天|说话|交谈|交流)|这里是",
    r"\b(?:talking|speaking|chatting) (?:to|with)\b|\b(?:model|assistant) you're using\b|that's me",
    r"T(?: was| is| were) (?:not|never) (?:\w+ )?involved\W*$",
    r"\bi\b|\bme\b|\bmyself\b|\b(?:this|your) (?:assistant|model)\b|\bthe name(?:'s| is)\b",
    r"\bmy (?:\w+ )?(?:names?|creators?|makers?|developers?|authors?|trainers?"
    r"|builders?|company|vendor|development|creation|training|team"
    r"|base|weights|origins?|identity|parent)\b",
)
_NO_SUBJECT = (
    r"(?!其实|实际|事实|现在|以前|过去|如今|目前|一直|曾经|原来|只|请|都|真|从来|还是|仍|依然"
    r"|一[个款种位]"
    r"|作[为者]|用|名[字叫为称]|开发|模型|厂商|版本|来自|出自|也|又|或|为|就|叫|而|并|当然|确实"
    r"|没错|对|但|不过|然而|可是|背后|幕后|更|绝|同时|首先|其次|所以|因此|总之|虽|答案)"
)
# A clause about somebody else: it opens with another subject.
THIRD = cue(
    rf"^\s*{MADE}出?了?T",
    r"^\s*(?:但是?|不过|然而|可是)?(?:不管|无论|别人|人们|很多人|它|他|她|其(?!实)|这|那|关于"
    rf"|{_NO_SUBJECT}[^我本由是不并而XY]{{1,14}}?"
    r"(?:并?不?是|并非|由|叫|有|的|把|向|说|可以|写|和|与|做|推出|来自|属于))",
    r"^\s*(?:(?:but|and|while|whereas|although|though|since|because) )?"
    r"(?:it|its|their|he|she|they|there|as for|the|you|your|my (?:friend|user|boss|colleague)"
    r"|some|many|people|popular|who"
    r"|(?!(?:and|but|or|so|also|which|that|nor|name|not|neither) )[a-z]+"
    r" (?:is|was|were|has|are|says|said|makes|does|did|do))\b",
)
# Stories have people of their own.
FICTION = cue(
    r"故事|小说|电影|剧本|主角|剧情",
    r"\b(?:story|novel|tale|film|movie|hero|heroine|protagonist|plot)\b",
)
# A mention as the subject of its own sentence.
_LEAD = (
    r"(?:(?:but|and|while|whereas|although|though|since|because|however) |而|但是?|不过|因为"
    r"|虽然|尽管"
    r"|然而|可是)?"
)
TOKEN_FIRST = cue(rf'^[\s"]*{_LEAD}(?:the )?T')
# The own name as such a subject, when something is said of an assistant of that name.
OWN_PREDICATE = cue(
    rf'^[\s"]*{_LEAD}X"?(?:的Y)?(?:这|这个|这款)?(?:助手|模型)?'
    r"(?:是|由|并|既|从|绝|可|就|都|其实|不|和|与|跟|同|也|可以|能|目前|在|专|致|来|出|属|擅|旨"
    r"|诞|非|没|基于)",
    rf'^[\s"]*{_LEAD}X"? (?:is|are|was|has|can|will|does|did|and|comes|helps|belongs|uses|runs)\b',
)
ASSISTANT = cue(
    r"可以|能够|助手|助理|模型|智能|机器人|产品|ai\b",
    r"\b(?:assistant|model|chatbot|ai|llm|can|will|system)\b",
)
# A clause that only names its topic: what stands behind it is the value.
LABEL = cue(
    r"^\W*(?:名字|姓名|名称|模型|型号|厂商|身份|机构|(?:模型|助手)(?:名称|名字|名)"
    rf"|(?:我的)?{MAKER_NOUN})\W*$",
    r"^\W*(?:(?:model|full|assistant|bot)[ _]?)?name\W*$",
    rf"^\W*(?:model|assistant|company|organi[sz]ation|team|identity|{MAKER_NOUN_EN}"
    r"|(?:created|made|developed|built|trained)[ _]by)\W*$",
)
BASE_LABEL = cue(
    r"^\W*(?:我的)?(?:基座|底座|底层|基础|基底)(?:大?模型|架构)?(?:名称)?\W*$",
    r"^\W*(?:(?:my|the|its) )?(?:base|underlying|foundation|backbone|base_)[ _]?(?:model)?\W*$",
)

# --- Negation and the ways of taking no stand.
NEGATION = cue(
    r"不(?!仅|只|但|过|同|少|管|光|单|断|久|论|妨|由|如|客)|没(?!错)|并非|(?<!并)非(?!常)"
    r"|别(?!人|的|名|称)"
    r"|无(?!论|疑|比)|未(?!来)|误(?!会)|(?<!没)错(?!过)|口误|谁说|与其|拒绝",
    r"\bnot\b|\bnever\b|\bneither\b|\bnor\b|\b(?:in )?no (?:way|part|role|hand|say)\b"
    rf"|\bno (?:\w+ ){{0,3}}{LINK_EN}|\bby no means\b|\bwithout\b|\bfar from\b",
    r"\bno longer\b|\bnone of\b|\bnope\b|\brather than\b|\binstead of\b|\bunlike\b",
    r"\bdeny\b|\bdenied\b|\bwrong\b|\bmistake\b|\bmisspoke\b|\bincorrect(?:ly)?\b|\bfalse(?:ly)?\b"
    r"|\bnothing to do\b|\bstop\b|^\W*who says\b|\bunaffiliated\b|\bunrelated\b|\brefuse\b",
)
# Words that look like negation and are none.
NO_NEGATION = cue(
    r"不得不|毫无疑问|不用怀疑|没错|不客气|不好意思|不仅仅?|不只|离不开|密不可分|不可或缺"
    r"|无时无刻|不愧",
    r"\bnone other than\b|\bneither\b(?=.*\bnor\b)|\bnot (?:only|just|merely|simply)\b"
    r"|\bno doubt\b|\bno problem\b|\bnot to mention\b",
)
# A judgement behind what is judged: "… is not true".
JUDGED = cue(
    r"不(?:太)?(?:对|正确|准确|属实|恰当|合适)|(?<!没)错误?|口误|误会|误解|有误|不是真的|不实|假的",
    r"\b(?:wrong|incorrect|inaccurate|false|untrue|mistaken|an? (?:mistake|error|misconception))\b"
    r"|\bnot (?:\w+ )?(?:true|right|correct|accurate|the case)\b",
)
SAID = cue(
    r"说|自称|称|声称|回答", r"\b(?:sa(?:id|y)|stated|claimed|told|called|introduced|referred)\b"
)
# "Oh no, wait": what was just said is taken back.
TAKEN_BACK = cue(
    r"^\W*(?:哦|啊|呃|额|噢)?,?(?:不对|不是不是|说错|口误|更正|纠正一下|啊不|哦不|呃不)",
    r"^\W*(?:(?:no|oh|oops|sorry)\W+)*(?:wait|scratch that|i mean|correction|let me correct"
    r"|my mistake)\b",
)
UNCERTAIN = cue(
    r"不(?:能)?确定|不清楚|不知道|不了解|很难说|说不清|说不准|不能透露|不便透露|是不是|是否|能否"
    r"|(?<!不)可能(?!以为|把|觉得|会)",
    r"(?:无法|不能|没办法|难以)(?:确认|确定|判断|证实|肯定)|也许|或许",
    r"\bnot (?:\w+ )?(?:sure|certain|confident)\b|\bnot know\b|\bmight be\b|\bmay be\b|\bperhaps\b",
    r"\bmaybe\b|\b(?:can|could) not (?:tell|confirm|verify|say (?:if|whether|for))\b",
    r"\bhard to say\b|\bconfirm nor deny\b|\bwhether\b|\bif i'm\b|\bif i am\b|\bif (?=X)"
    r"|\bunsure\b|\buncertain\b|\bunclear\b",
)
FILLER = cue(
    r"就是我啦?|答案|例如|比如|如|包括|为[您你]服务|在此|在这里|哦|呢|呀|啊|啦|的|是|也|而|才|叫|就|来自|由|名|款"
    r"|位|一个|'s\b|\b(?:would|be|that|answer"
    r"|the|a|an|here|hi|hello|speaking"
    r"|this is|at your service|by|from|it|was|is|and|did|it's|that's|simply|just"
    r"|in chinese|in english)\b"
)

# --- Beginnings of answers, and what is said of the mention before.
_REPLY = (
    r"^\W*(?:(?:抱歉|对不起|不好意思|sorry)\W+)?(?:(?:a|answer|assistant|答|回答"
    r"|助手)\s*[:：]\s*)?\W*"
)
YES = cue(
    rf"{_REPLY}(?:是的|对(?!不起|于)|没错|当然|正是|确实|嗯)",
    rf"{_REPLY}(?:yes|yeah|yep|correct|right|indeed|sure|of course|exactly)\b",
)
NO = cue(
    rf"{_REPLY}(?:(?:当然|绝对|肯定|其实|真的|并)?不(?!客气|好意思|过|错|用|妨|同)|没有|没(?!错)"
    rf"|否|并非|我(?:并|可)?不是(?=\W))",
    rf"{_REPLY}(?:(?:of course|certainly|absolutely|definitely|actually|hmm|well|haha),? )?"
    r"(?:(?:no|nope|not)\b(?! problem| worries| doubt)|(?:i am|i'm) not(?=\W*(?:[.,;!]|$)))",
)
NOT_ME = cue(
    rf"{_REPLY}(?:那|这|它)(?:可|并)?不是(?:我|我的)(?!们)",
    rf"{_REPLY}(?:that|it|this)(?:'s| is| was) not (?:me|my \w+|who i am|what i am)\b",
)
ELSEWHERE = cue(r"没听说|不认识|不了解", r"never heard|not know")
# "…, not it": the denial of what was named before.
NOT_IT = cue(
    r"不是它(?![的们])|(?:^|[\s,，])(?:都|也|并|可|均|全|但)*不是我(?![们的])(?:\W|$)"
    rf"|都?(?:和|与|跟)我[^,，]{{0,6}}[没无不][^,，]*{LINK}",
    r"\b(?:not|never) (?:it|that one)\b(?! is| was)|\b(?:none of (?:them|these|those|which)"
    r"|not) (?:is |are )?me\b",
)
NOT_THEM = cue(rf"不是(?:由|被)?[他她它]们{MADE}", r"\b(?:not|nor|never)\b.* (?:by them|there)\b")
# "That's not accurate."
NOT_TRUE = cue(
    rf"^\W*(?:但|不过)?(?:这|那)[^,，XY]{{0,8}}?(?:{JUDGED.pattern})",
    rf"^\W*(?:but |however,? )?(?:that|this|it|which)(?:'s| is| was) (?:\w+ )?(?:{JUDGED.pattern})",
)
# "None of the following: …"
LIST_INTRO = cue(r"以下|下列|这些|任何|其中", r"\b(?:following|any of|these|none of|either of)\b")
THAT_IS_ME = cue(r"^\W*(?:也)?(?:那)?就是我", r"^\W*(?:and )?that(?:'s| is) me\b")
# Negations that are of what the speaker can, knows or advises, not of what it is.
UNABLE = cue(
    r"不能|无法|不会|不便|没法|不可以|不建议|不推荐|无权|没有权限|不知|不清楚|不了解|不懂|不支持|不提供|不方便",
    r"\b(?:can|could|will|would|should|may) not\b|\b(?:able|unable|allowed|permitted|know|recommend"
    r"|have access|support|advise|sure|understand)\b",
)
