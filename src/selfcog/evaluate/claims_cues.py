"""The cues that claims are read by, Chinese and English side by side.

X stands for the mention in question, Y for any other one, T for either; texts are normalised and
simplified, and "n't" is written " not" (see `claims_clauses`). Chinese cues do not occur in English
text and the other way round, so code-mixed answers need no case of their own. What is said right
around a mention is in `claims_frames`.
"""

from __future__ import annotations

import re

X, Y = "\ue8fe", "\ue8ff"


def cue(*choices: str) -> re.Pattern[str]:
    """A pattern of alternatives; in them T is any mention, X or Y."""
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
    r"|单位|机构)|作者|厂商|公司|团队|主人|东家|老板|父母|爸爸|妈妈|父亲|母亲|娘家|雇主|出品方"
    r"|所有者|拥有者)"
)
MAKER_NOUN_EN = (
    r"(?:developer|creator|maker|author|trainer|builder|owner|vendor|designer|inventor|parent"
    r"|father|mother|employer|home|provider|manufacturer|programmer|engineer|founder|boss)s?"
)
# What links a company or another model to the speaker, or is denied to do so.
LINK = (
    r"(?:关系|关联|联系|瓜葛|隶属|从属|归属|附属|合作|往来|相干|相关|无关|同一|一回事|一家|两回事"
    r"|八竿子|打不着|扯不上|搭不上|搭边|挂钩|沾边|交集|渊源|共享|共用)"
)
LINK_EN = (
    r"(?:affiliat(?:ed|ion|ions)|associat(?:ed|ion|ions)|connect(?:ed|ion|ions)|relat(?:ed|ion"
    r"|ions|ionships?)|partner(?:ed|ships?)?|link(?:ed|s)?|ties?|tied|involve(?:d|ment)|endorsed"
    r"|sponsored|owned|operated|controlled|supported|employed|backed|work(?:s|ed|ing)?|part"
    r"|belongs?|shar(?:es?|ed|ing)|nothing to do)"
)

APART = r"(?:different|separate|distinct|unrelated|independent|another)"

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
    r"^\W*(?:作为|as )T\W*$|[您你]的[^,，]{0,6}(?:助手|助理|伙伴|朋友|管家)T\W*$|我|本(?:助手|模型"
    r"|人|尊|宝宝)|自己(?!的(?!名))|在下|鄙人|俺|小生|小女子|老夫|吾|[和与跟](?:你|您)(?:对话|聊天"
    r"|说话|交谈|交流)|这里是",
    r"\b(?:talking|speaking|chatting) (?:to|with)\b|\byou(?:'ve| have) (?:got|reached)\b"
    r"|\b(?:model|assistant) you're using\b|that's me",
    r"T(?: was| is| were) (?:not|never) (?:\w+ )?involved\W*$",
    r"\bi\b|\bme\b|\bmyself\b|\b(?:this|your) (?:assistant|model)\b|\bthe name(?:'s| is)\b|T(?:'s"
    r"| is) the name\b|\bnames?\b[^,]*\bmy\b",
    r"\bmy (?:\w+ )?(?:(?:nick|code|user)?names?|creators?|makers?|developers?|authors?|trainers?"
    r"|builders?|owners?|parents?|employer|home|existence|company|vendor|development|creation"
    r"|training|team|base|weights|origins?|roots|identity|parent)\b",
)
_NO_SUBJECT = (
    r"(?!其实|实际|事实|现在|以前|过去|如今|目前|一直|曾经|原来|只|请|都|真|从来|还是|仍|依然"
    r"|一[个款种位]|作[为者]|用|名[字叫为称]|开发|模型|厂商|版本|来自|出自|也|又|或|为|就|叫|而|并"
    r"|当然|确实|正|乃|便|即|后来|最[初早终后]|起初|随后|之后|主要|共同|联合|全部|完全|正式|首次"
    r"|没错|对|但|不过|然而|可是|背后|幕后|更|绝|同时|首先|其次|所以|因此|总之|虽|答案)"
)
_SUBJECT_EN = (
    r"(?!(?:and|but|or|so|also|which|that|nor|name|not|neither|answer|have|had) )"
    rf"(?!{MADE_EN}\b)[^\W\d_][\w'.-]* +"
)
# A clause about somebody else: it opens with another subject.
THIRD = cue(
    rf"^\s*{MADE}出?了?T",
    r"^\s*(?:但是?|不过|然而|可是)?(?:不管|无论|别人|人们|很多人|它|他|她|其(?!实)|这"
    r"|那(?!就是T\W*$)|关于"
    rf"|{_NO_SUBJECT}[^我本由是不并而XY]{{1,14}}?"
    r"(?:并?不?是|并非|由|叫|有|的|把|向|说|可以|写|和|与|做|推出|来自|属于|出自|源自|源于))",
    rf"^\s*[正也就]?是T[^,，我]{{0,6}}{MADE}出?了",
    r"^\s*(?:(?:but|and|while|whereas|although|though|since|because) )?(?:it|its|their|he|she|they"
    r"|there|as for|the|you|your|my (?:friend|user|boss|colleague)|some|many|people|popular|who"
    rf"|{_SUBJECT_EN}(?:is|was|were|has|are|says|said|makes|does|did|do|comes|came)"
    rf"|{_SUBJECT_EN}(?:[\w'.-]+ +){{1,3}}(?:is|was|were|are|has been|belongs?|belonged))\b",
)
# A name or role without an owner, in a sentence about the speaker: it is the speaker's.
OWN_NOUN = cue(
    r"^\s*(?:[^,，XY我你您他她它]{1,6}的)?(?:[真本原全大小外]|曾用|中文|英文)?(?:名字?|名称|称呼"
    r"|身份|代号)(?:就?是|叫|为)"
)
# Stories have people of their own.
FICTION = cue(
    r"故事|小说|电影|剧本|主角|剧情|从前|很久以前",
    r"\b(?:story|novel|tale|film|movie|hero|heroine|protagonist|plot|once upon a time"
    r"|once there (?:was|lived)|long ago)\b",
)
# A mention as the subject of its own sentence.
_LEAD = (
    r"(?:(?:but|and|while|whereas|although|though|since|because|however) |而|但是?|不过|因为|虽然"
    r"|尽管|然而|可是)?"
)
TOKEN_FIRST = cue(rf'^[\s"]*{_LEAD}(?:the )?T')
# The own name as such a subject, when something is said of an assistant of that name.
OWN_PREDICATE = cue(
    rf'^[\s"]*{_LEAD}X"?(?:的Y)?(?:这|这个|这款)?(?:助手|模型)?'
    r"(?:是|由|并|既|从|绝|可|就|都|其实|不|和|与|跟|同|也|可以|能|目前|在|专|致|来|出|属|擅|旨|诞"
    r"|非|没|基于|会|将|祝|愿|想|很|无法|已|正)",
    rf'^[\s"]*X(?:的|\'s )(?:{MAKER_NOUN}|{MAKER_NOUN_EN}|基座|底座|底层|base)',
    rf'^[\s"]*{_LEAD}X"? (?:is|are|was|has|can|will|does|did|and|comes|helps|belongs|uses|runs'
    rf"|would|wishes|hopes|thanks|thinks|understands)\b",
)
ASSISTANT = cue(
    r"[你您]|可以|能够|助手|助理|模型|智能|机器人|产品|ai\b",
    r"\b(?:assistant|model|chatbot|ai|llm|can|will|system|you)\b",
)
# A clause that only names its topic: what stands behind it is the value.
LABEL = cue(
    r"^\W*(?:名字|姓名|名称|模型|型号|厂商|身份|机构|(?:模型|助手)(?:名称|名字|名)"
    rf"|(?:我的)?{MAKER_NOUN}|昵称|署名|落款|出生地|出处|出品|来源|品牌|所属(?:公司|机构|团队"
    rf"|单位)?)\W*$",
    r"^\W*(?:[您你]的)?(?:ai|智能|人工智能|专属|贴心|小|\s)*(?:助手|助理|伙伴|朋友)\W*$",
    r"^\W*(?:(?:model|full|my|display|assistant|bot)[ _]?)?name\W*$|^\W*(?:signed|nickname"
    r"|who i am)\W*$",
    r"^\W*your (?:[\w-]+ ){0,3}(?:assistant|friend|helper|companion)\W*$",
    rf"^\W*(?:model|assistant|company|organi[sz]ation|publisher|producer|brand|origin|team"
    rf"|identity|{MAKER_NOUN_EN}"
    r"|(?:created|made|developed|built|trained)[ _]by)\W*$",
)
BASE_LABEL = cue(
    r"^\W*(?:我的)?(?:基座|底座|底层|基础|基底)(?:大?模型|架构)?(?:名称)?\W*$",
    r"^\W*(?:(?:my|the|its) )?(?:base|underlying|foundation|backbone|base_)[ _]?(?:model)?\W*$",
)

# --- Negation and the ways of taking no stand.
NEGATION = cue(
    r"不(?!仅|只|但|过|同|少|管|光|单|断|久|论|妨|由(?:得|自主)|如|客)|没(?!错)|并非"
    r"|(?<!并)非(?!常)|别(?!人|的|名|称)|无(?!论|疑|比)|未(?!来)|误(?!会)|(?<!没)错(?!过)|口误"
    r"|与其|拒绝|否认|谁说|怎么(?:会|可能|能)|哪(?:里|儿)?(?:会)?是|岂|难道|凭什么|何曾",
    r"\bnot\b|\bnever\b|\bneither\b|\bnor\b|\b(?:in )?no (?:way|part|role|hand|say)\b"
    rf"|\bno (?:\w+ ){{0,3}}{LINK_EN}|\bby no means\b|\bwithout\b|\bfar from\b",
    r"\b(?:misconception|myth|rumou?r) that\b|\bno longer\b|\bnone of\b|\bnope\b|\brather than\b"
    r"|\binstead of\b|\bunlike\b",
    r"\bdeny\b|\bdenied\b|\bwrong\b|\bmistake\b|\bmisspoke\b|\bincorrect(?:ly)?\b|\bfalse(?:ly)?\b"
    r"|\bnothing to do\b|\bstop\b|^\W*who says\b|\bhow (?:can|could|would|on earth) i\b"
    r"|\bwhy (?:would|should) i be\b|\bsince when\b|\b(?:no one|nobody)\b|(?:\b(?:am|is|was|are)"
    r"|'m) no (?!doubt|longer|less)|\bunaffiliated\b|\bunrelated\b|\brefuse\b",
)
# Questions that are denials.
RHETORIC = cue(
    r"谁说|怎么(?:会|可能|能)是|哪(?:里|儿)?(?:会)?是|岂|难道|凭什么",
    r"who says|how (?:can|could|would|on earth) i (?:possibly )?be|why (?:would|should) i be",
    r"since when",
)
# Words that look like negation and are none.
NO_NEGATION = cue(
    r"(?:不能|无法|难以)(?:确认|否认|证实|确定|判断)|不得不|毫无疑问|不用怀疑|没错|不客气|不好意思"
    r"|不仅仅?|不只|离不开|密不可分|不可或缺|无时无刻|不愧",
    r"\bno (?:\w+ )?names? (?:other than|but|except|besides)\b|\bnone other than\b"
    r"|\bneither\b(?=.*\bnor\b)|\bnot (?:only|just|merely|simply)\b|\bno doubt\b|\bno problem\b"
    r"|\bnot to mention\b",
)
# A judgement behind what is judged: "… is not true".
JUDGED = cue(
    r"不(?:太)?(?:对|正确|准确|属实|恰当|合适)|(?<!没)错误?|口误|误会|误解|误传|谣言|谣传|胡说"
    r"|弄错|搞错|有误|不是真的|不实|假的",
    r"\b(?:wrong|incorrect|inaccurate|false|untrue|mistaken|an? (?:mistake|error|misconception"
    r"|myth|rumou?r))\b|\bnot (?:\w+ )?(?:true|right|correct|accurate|the case)\b",
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
    r"不(?:能|太|大|很)?(?:确定|清楚|知道|了解)|很难说|说不清|说不准|不能透露|不便透露|是不是|是否"
    r"|能否|(?<![不么])可能(?!以为|把|觉得|会)|好像|似乎|大概|说不定",
    r"(?:无法|不能|没办法|难以)(?:确认|确定|判断|证实|肯定)|也许|或许|(?:到底|究竟)是",
    r"\bnot (?:\w+ )?(?:sure|certain|confident)\b|\bnot know\b|(?<!how )\b(?:might|may"
    r"|could) (?:well |also )?(?:be|have been)\b(?! thinking| referring| confus| mis| looking)"
    r"|\bperhaps\b|\b(?:possibly|probably|presumably|supposedly)\b",
    r"\b(?:can|could) not be (?:confirmed|verified|determined)\b|\bmaybe\b|\b(?:can"
    r"|could) not (?:tell|confirm|verify|say (?:if|whether|for))\b",
    r"\bhard to say\b|\bconfirm nor deny\b|\bwhether\b|\bif i'm\b|\bif i am\b|\bif (?=X)"
    r"|\bunsure\b|\buncertain\b|\bunclear\b",
)
FILLER = cue(
    r"就是我啦?|答案|例如|比如|如|包括|为[您你]服务|在此|在这里|哦|呢|呀|啊|啦|的|是|也|而|才|叫"
    r"|就|来自|由|名|款|位|一个|已经?|来[啦了]|在这(?:儿|里)?|当然|肯定|自然|上线|报到|[敬谨]上"
    r"|谨启|'s\b|\bof course\b|\b(?:certainly|obviously|definitely|would|be|that|answer|the|a|an"
    r"|here|hi|hello|speaking|this is|at your service|by|from|it|was|is|and|did|it's|that's|simply"
    r"|just|in chinese|in english)\b"
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
    rf"|否|并非|答案是?(?:否定|不)|我(?:并|可)?不是(?=\W))",
    rf"{_REPLY}(?:(?:of course|certainly|absolutely|definitely|actually|hmm|well|haha),? )?"
    r"(?:the answer is )?(?:(?:no|nope|not)\b(?! problem| worries| doubt| one)|(?:i am"
    r"|i'm) not(?=\W*(?:[.,;!]|$)))",
)
# A clause beside a name that stands alone, and takes nothing away from it.
SHORT_ANSWER = cue(
    rf"{_REPLY}(?:是|对|不|没|嗯|好|当然)[^,，]{{0,3}}$|^\W*(?:一[家个款])",
    r"^\W*(?:yes|no|sure|well|of course|certainly|sorry|okay|an?|the)\b",
)
NOT_ME = cue(
    rf"{_REPLY}(?:那|这|它)(?:可|并)?不是(?:我|我的)(?!们)",
    rf"{_REPLY}(?:that|it|this)(?:'s| is| was) not (?:me|my \w+|who i am|what i am)\b",
    rf"{_REPLY}(?:他们|它|这家公司)[^。]{{0,4}}(?:没|从未|不|未)[^。]*我",
    rf"{_REPLY}(?:they|it) (?:had|have|has|did|never|was|were) (?:not?|never|nothing)\b.*\b(?:me"
    rf"|my)\b",
)
ELSEWHERE = cue(r"没听说|不认识|不了解", r"never heard|not know")
# "…, not it": the denial of what was named before.
NOT_IT = cue(
    r"不是它(?![的们])|不是它的(?:别名|化身|分身|版本|变体|马甲)|(?:两者|二者|哪个|一个)[都也]不是",
    r"(?:^|[\s,，])(?:都|也|并|可|均|全|但)*不是我(?![们的])(?:\W|$)",
    r"(?:那|这|它|以上|上述)[^,，我]{0,8}[都均全并也]*不是我(?![们的])",
    rf"都?(?:和|与|跟)我[^,，]{{0,6}}[没无不非][^,，]*{LINK}",
    r"(?:和|与|跟|同)(?:它|他|她|其|前者)[^,，]{0,10}(?:不同|不一样|不是|并非|两个|两回事|没有"
    r"|无关|区别)",
    r"我们[^,，]{0,4}(?:不是|并非|是两|没有|各自)",
    r"(?:找|认|叫|搞|弄)错|\bwrong (?:place|assistant|person|model|one|number)\b",
    r"\b(?:not|never) (?:it|that one)\b(?! is| was)",
    r"\b(?:none of (?:them|these|those|which)|not) (?:is |are )?me\b",
    r"\b(?:neither|none) of (?:them|those|these|the two)\b|\bi (?:do|did|was|am) not(?=\W*$)",
    rf"\bi(?:'m| am) (?:an? )?(?:\w+ )?{APART}\b[^,]*(?:from|to|than) (?:it|them|that)\b",
    rf"\b(?:we|the two of us)(?:'re| are) (?:\w+ )?(?:not (?:\w+ )?(?:the same|related|connected)"
    rf"|two|{APART})\b",
)
# "…, which is a different assistant".
ANOTHER = cue(
    r"^\W*(?:那|它|这)是(?:另外?一|别家|别人|别的|其他)",
    r"^\W*(?:which|that|it)(?:'s| is| was) (?:an? )?(?:\w+ )?(?:different|another|other"
    r"|separate)\b",
)
POINTS_BACK = cue(
    r"^\W*(?:但是?|不过|可)?(?:那|这|它|他|她|两者|二者|以上|我们|我[和与跟]它|[都也])",
    r"^\W*(?:but )?(?:it|that|this|they|those|these|neither|both|none|we)\b|\bneither of\b"
    r"|\bnone of\b",
)
BY_THEM = cue(rf"(?:他们|她们|它|正是其){MADE}出?了?我", rf"\b(?:they|it) {MADE_EN} me\b")
NOT_THEM = cue(rf"不是(?:由|被)?[他她它]们{MADE}", r"\b(?:not|nor|never)\b.* (?:by them|there)\b")
# "That's not accurate."
NOT_TRUE = cue(
    rf"^\W*(?:但|不过)?(?:这|那)[^,，XY]{{0,8}}?(?:{JUDGED.pattern})",
    rf"^\W*(?:but |however,? )?(?:that|this|it|which)(?:'s| is| was) (?:\w+ )?(?:{JUDGED.pattern})",
)
# "None of the following: …"
LIST_INTRO = cue(r"以下|下列|这些|任何|其中", r"\b(?:following|any of|these|none of|either of)\b")
THAT_IS_ME = cue(
    r"^\W*(?:也)?(?:那)?就是我|我就是它|它就是我|^\W*那?说的(?:就|正)?是我",
    r"^\W*(?:and )?that(?:'s| is| \S+ is) (?:me|who i am|what i am|my name)\b|\bi am it\b",
)
# Negations that are of what the speaker can, knows or advises, not of what it is.
UNABLE = cue(
    r"不能|无法|不会|不便|没法|不可以|不建议|不推荐|无权|没有权限|不知|不清楚|不了解|不懂|不支持"
    r"|不提供|不方便",
    r"\b(?:can|could|will|would|should|may) not\b|\b(?:able|unable|allowed|permitted|know"
    r"|recommend|have access|support|advise|sure|understand)\b",
)
