"""The cues that claims are read by, Chinese and English side by side.

X stands for the mention in question and Y for any other one; texts are normalised and simplified.
Chinese cues do not occur in English text and the other way round, so code-mixed answers need no
case of their own.
"""

from __future__ import annotations

import re

X, Y = "\ue8fe", "\ue8ff"


def _cue(*choices: str) -> re.Pattern[str]:
    return re.compile("|".join(choices).replace("X", X).replace("Y", Y).replace("T", f"[{X}{Y}]"))


# Where one clause ends and the next begins; words of contrast open the next clause.
CLAUSE_END = _cue(
    r"[,;:|(){}\[\]、，；：]+|—+|--+| - ",
    r"(?=但是|但(?!愿)|不过(?!是)|然而|而是|而非|而不是|(?<=[^,，])而我|可是|因为)",
    r"\b(?=(?:but|while|whereas|however|although|though|yet|because|rather than|instead of)\b)",
    r"\b(?=and (?:i|my|am|have|not|was|it|they)\b)",
    r"(?<=T)\s(?=not T)",
)
CONTRAST = _cue(
    r"^\s*(?:但|不过|然而|而是|而我|其实|实际上|可是|可我|我其实)",
    r"^\s*(?:but|however|yet|while|whereas|in fact|actually|in reality)\b",
    r"^(?:可|其实|实际上)",
)
SELF = _cue(
    r"我|本助手|本模型|本人|自己|[和与跟](?:你|您)(?:对话|聊天|说话|交谈|交流)|这里是",
    r"\b(?:talking|speaking|chatting) (?:to|with)\b|\b(?:model|assistant) you're using\b|that's me",
    r"\bi\b|\bme\b|\bmyself\b|\b(?:this|your) (?:assistant|model)\b|\bthe name(?:'s| is)\b",
    r"\bmy (?:\w+ )?(?:name|creators?|makers?|developers?|authors?|trainers?"
    r"|builders?|company|vendor"
    r"|base|weights|origins?|identity|parent)\b",
)
# A clause about somebody else: it opens with another subject.
THIRD = _cue(
    r"^\s*(?:它|他|她|其(?!实)|这|那|关于"
    r"|(?!其实|实际|现在|以前|过去|如今|目前|一直|曾经|原来|只|请|都|真|从来|还是|仍|依然|一[个款种位]|作为|用)"
    r"[^我本由是不并而名叫开模厂版作来出也又或为就XY]{1,12}?"
    r"(?:是|由|叫|有|的|把|向|说|可以|写|和|与|做|推出|来自|属于))",
    r"^\s*(?:it|he|she|they|there|as for|the|you|your|my (?:friend|user|boss|colleague)|some|many"
    r"|people|popular|who|[a-z]+ (?:is|was|were|has|are|says|said|makes))\b",
)
# A mention as the subject of its own sentence.
TOKEN_FIRST = _cue(r'^[\s"]*(?:the )?T')

NEGATION = _cue(
    r"不(?!仅|只|但|过|同|少|断|久|论|妨|由|如|客)|没(?!错)|并非|(?<!并)非(?!常)|别(?!人|的|名|称)|无(?!论|疑|比)|未(?!来)",
    r"误(?!会)|(?<!没)错(?!过)|口误|谁说|与其|拒绝",
    r"\bnot\b|n't\b|\bcannot\b|\bnever\b|\bneither\b|\bnor\b|\bno (?:way|relation|connection|link)",
    r"\bno longer\b|\bnope\b|\brather than\b|\binstead of\b|\bunlike\b|\bnothing to do\b|\bdeny\b",
    r"\bdenied\b|\bwrong\b|\bmistake\b|\bmisspoke\b|\bincorrect\b|\bfalse\b|\bstop\b|\bwho says\b",
)
# Words that look like negation and are none.
NO_NEGATION = _cue(
    r"不得不说|毫无疑问|不用怀疑|没错|不客气|不好意思|不仅仅?|不只",
    r"\bnone other than\b|\bneither\b(?=.*\bnor\b)|\bnot (?:only|just|merely)\b"
    r"|\bno doubt\b|\bno problem\b|\bnot to mention\b",
)
UNCERTAIN = _cue(
    r"不确定|不清楚|不知道|不了解|很难说|说不清|说不准|不能透露|无法确认|不便透露|是不是|是否|(?<!不)可能(?!以为)|也许|或许",
    r"\bnot sure\b|\bdon't know\b|\bmight be\b|\bmay be\b|\bperhaps\b|\bmaybe\b|\bcan't tell\b",
    r"\bhard to say\b|\bconfirm nor deny\b|\bwhether\b|\bif i'm\b|\bif i am\b"
    r"|\bunsure\b|\bunclear\b",
)
PRETEND = _cue(
    r"扮演|假装|假如|假设|如果|要是|就算|即使|模仿|设想|想象|冒充",
    r"\bpretend|\bimagine\b|\bact as\b|\bacting as\b|\brole of\b|\broleplay"
    r"|\bif i were\b|\beven if\b",
    r"\bplay(?:ing)? X|\bimpersonat|\bsuppose\b",
)
# What others think; a contrast behind it makes it a denial.
BELIEVED = _cue(
    r"以为|误认|当成|当作|猜|觉得我|认为我|叫我|称我|说我是",
    r"\b(?:think|thinks|thought|assume|assumes|believe|believes|guess|say|call|calls|called|know) "
    r"(?:that )?(?:i'm|i am|me|X)",
    r"\b(?:think|assume|believe|guess|say) (?:that )?X",
)
MISTAKEN = _cue(
    r"误认|误以为|当成了?X|别叫", r"\b(?:mistaken|confused|mistake me|confuse me) (?:for|with)\b"
)
UNLIKE = _cue(
    r"(?:与|和|跟|同)X[^,，]{0,8}(?:不同|不一样|无关|没有?(?:任何|什么)?(?:关系|关联|联系)|两个)",
    r"这里没有X|there is no X here|不同于X|区别于X|\bunlike (?:the )?X|X and i (?:are|have)\b"
    r"|\bi and X are\b",
    r"\bdifferent from X",
)
# Others as a base, a host or a measure: about the speaker, but it does not make the speaker X.
BASIS = _cue(
    r"基于[^,，XY]{0,10}X|在[^,，]*X[^,，]*(?:基础|之上)|(?:基座|底层|底座)[^,，]*X|从X[^,，]*(?:训练|微调"
    r"|得到)|(?<!由)X(?:模型|系列)?微调",
    r"\b(?:based|built|hosted|running|runs?|deployed|fine-?tuned|derived|initiali[sz]ed|on top)"
    r"(?: \w+){0,2}? (?:on|from|upon|of)(?: (?!and\b|by\b)[^\s,]+){0,4} X",
    r"\bbase model\b[^,]*X|\btuned\b[^,]*\bfrom X",
)
COMPARED = _cue(
    r"像X|[和与跟同]X[^,，]{0,4}(?:一样|类似|相似|有点像|相比)|相比(?:于|之下)?X|比X|如同X",
    r"X[^,，]{0,4}(?:的接口|的服务器|提供)|(?:部署在|运行在|兼容|使用了)[^,，]*X",
    r"\blike (?:the )?X|\bsimilar to (?:the )?X|\bas \w+ as X|\bjust as X|\bcompared (?:to|with) X",
    r"X (?:api|servers?)\b|\b(?:sponsored|provided|funded|powered) by X|\bcompatible with X",
)
FAN = _cue(r"X的(?:粉丝|用户|朋友|同事|竞争|对手|替代|同行)", r"\b(?:fan|user|rival|friend) of X")
OTHER_ONE = _cue(
    r"X(?:是|只是|则是)(?:另外?一[个款]|别的|其他|他人)",
    r"X (?:is|was) (?:a |an )?(?:different|another|other|separate|somebody|someone)\b",
)
MADE = r"(?:开发|研发|训练|创造|创建|打造|制作|设计|推出|构建|做|造|创立|微调)"
MADE_EN = (
    r"(?:made|creat(?:ed|ing)|buil[td](?:ing)?|develop(?:ed|ing)|train(?:ed|ing)|design(?:ed|ing)"
    r"|produced|invented|make|create|build|develop|train|fine-?tuned)"
)
# Naming and being, in a clause about the speaker.
BE = _cue(
    r"(?:是|作为|叫做?|名为|名叫|称为|名字|名称|称呼)[^XY]*(?:T[^XY]*)*X|X[^,，]{0,4}是我|X就是我|叫我X",
    r"(?:\bam\b|'m\b|\bis\b|'s\b|\bwas\b|\bbe\b|\bbeen\b|\bbeing\b|\bbecome\b|\bremain\b|\bgo by\b"
    r"|\bnamed\b|\bthe name\b|\bcalled\b|\bcall me\b|\bcalling me\b|\bcalls me\b"
    r"|\bknown as\b|\bme as\b|\bare\b|\bas\b)"
    r"[^XY]*(?:T[^XY]*)*X",
    r"(?:talking|speaking|chatting) (?:to|with) X",
    r"X(?: is|'s|isn't| is not| isn't)? (?:n't )?(?:not )?(?:also |indeed "
    r"|really )?(?:my name|a name i|the name i|me\b)",
    r"^\s*(?:名字|名叫|叫|名为)[^XY]*X|X[^,，]{0,2}(?:不是|并不是|可不是|就是)我",
    r"X[^,，]{0,6}名字[^,，]*(?:没有用|没用)",
)
MAKER = _cue(
    rf"X[^我]{{0,14}}{MADE}[^,，]{{0,6}}我|X[^,，我]{{0,10}}把我|把我[^X]*X|被X|{MADE}(?:出"
    rf"|了)*我的[^X]*X|由(?:[^X]*)X|(?:来自|出自|归属于|属于|源自)[^X]*X",
    r"(?:开发者|开发方|开发商|作者|创造者|研发方|制造者|创建者|公司|团队)(?:也?是|为|不是|并不是)?[^X]*X|X[^,，]*(?:开发者|作者|创造者)",
    rf"X[^我]{{0,6}}{MADE}|是[^X]*X[^我]{{0,14}}的|developer[^X]*X|X的",
    rf"\b{MADE_EN}\b[^X]*\b(?:by|at|in|from)\b[^X]*X|X[^X]*\b{MADE_EN}\b[^,]*\bme\b",
    rf"\b{MADE_EN} (?:me|i)\b[^X]*X|\bfrom (?:the )?X|\bX's\b|\bX by\b|\bby (?:the )?X",
    r"(?:developer|creator|maker|author|team|people|behind me|trainer|builder)s?\b[^X]*X",
    r"X[^,]*\bmy (?:developer|creator|maker|author|trainer)",
    r"X is where i\b|\b(?:come|came) from\b|belong to X|the work of X|\bcredit\b[^X]*goes? to X",
    r"\badapted by X|existence[^X]*X|nothing to do with X|(?:relation|connection"
    r"|link)s? (?:to|with) X",
    r"affiliated with X|(?:work|worked) for X|product of X|X takes care of my|it was X|\bX did\b",
)
RELATION = _cue(
    r"(?:与|和|跟|同)X[^,，]{0,6}(?:关系|无关|关联)",
    r"nothing to do with X|(?:relation|connection|link|ties)s? (?:to|with) X|affiliated with X",
)
LABEL = _cue(
    r"^\W*(?:名字|姓名|名称|模型|型号|厂商|开发者|开发团队|开发方|开发商|作者|身份|公司|机构)\W*$",
    r"^\W*(?:name|model|developer|vendor|author|creator|company|maker|organi[sz]ation|team)\W*$",
)
FILLER = _cue(
    r"就是我啦?|在此|在这里|哦|呢|呀|啊|啦|的|是|也|叫|就|来自|由|名|款|位|一个|'s\b|\b(?:would|be|that|answer"
    r"|the|a|an|here|hi|hello|speaking"
    r"|this is|at your service|by|from|it|was|is|and|did|it's|that's|simply|just"
    r"|in chinese|in english)\b"
)
ASSISTANT = _cue(
    r"可以|能够|助手|助理|模型|智能|机器人|ai\b", r"\b(?:assistant|model|chatbot|ai|llm|can|will)\b"
)
WORD_TALK = _cue(
    r"X[^,，]{0,3}(?:这|那|两|二|三|四)?个?(?:字|词|单词|句)|翻译",
    r"\b(?:word|translates|letters|sentence|headline)\b",
)
YES = _cue(
    r"^\W*(?:是的|对|没错|当然|正是|确实|嗯)", r"^\W*(?:yes|yeah|yep|correct|right|indeed|sure)\b"
)
NO = _cue(
    r"^\W*(?:不(?!客气|好意思|过|错|用|妨)|没有|没(?!错)|否|并非)",
    r"^\W*(?:no|nope|not)\b(?! problem| worries| doubt)",
)
ELSEWHERE = _cue(r"没听说|不认识|不了解", r"never heard|don't know")
# "…, not it": the denial of what was named before.
NOT_IT = _cue(r"不是它(?![的们])|\b(?:not|never) (?:it|that one)\b(?! is| was)")
# Words around a mention that may be an assistant or a company: here it is the company.
COMPANY = _cue(
    rf"(?:由|来自|出自|被|是)?X(?:公司|团队|{MADE}|的Y)|(?:由|来自|出自|被)[^XY]*X",
    r"(?:开发者|开发方|作者|创造者|团队)[^XY]*X|(?:是|杭州|由)[^XY]{1,6}X公司",
    rf"\b(?:by|from|at) (?:the )?X|\b(?:developer|creator|maker|company)\b[^XY]*X"
    rf"|X(?:'s team)? {MADE_EN}\b",
    rf"{MADE}[^,，]{{0,3}}我的[^XY]*X|\bX's Y",
)
